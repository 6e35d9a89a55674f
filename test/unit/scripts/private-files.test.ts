import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { closeToOthers, makePrivateFiles } from "../../../scripts/private-files.ts";

let parent: string;
let mask: number;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "holdfast-private-"));
  mask = process.umask(0o022);
});
afterEach(() => {
  process.umask(mask);
  rmSync(parent, { recursive: true, force: true });
});

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

it("makes what is made from then on its owner's alone", () => {
  makePrivateFiles();
  const folder = join(parent, "state");
  mkdirSync(folder);
  writeFileSync(join(folder, "x.sqlite"), "");
  expect(modeOf(folder)).toBe("700");
  expect(modeOf(join(folder, "x.sqlite"))).toBe("600");
});

it("closes what an earlier version left open", () => {
  const folder = join(parent, "state");
  mkdirSync(join(folder, "objects"), { recursive: true });
  writeFileSync(join(folder, "objects", "x.sqlite"), "");
  chmodSync(folder, 0o755);
  closeToOthers(folder);
  expect(modeOf(folder)).toBe("700");
  expect(modeOf(join(folder, "objects"))).toBe("700");
  expect(modeOf(join(folder, "objects", "x.sqlite"))).toBe("600");
});

it("leaves alone what is not the service's, such as the lost+found of a volume", () => {
  const folder = join(parent, "state");
  mkdirSync(join(folder, "lost+found"), { recursive: true });
  chmodSync(join(folder, "lost+found"), 0o755);
  closeToOthers(folder);
  expect(modeOf(folder)).toBe("700");
  expect(modeOf(join(folder, "lost+found"))).toBe("755");
});

it("names STATE_DIR if the folder is another's to close", () => {
  // Nobody may change the permissions of this one.
  expect(() => closeToOthers("/proc/self/task")).toThrow(
    "STATE_DIR=/proc/self/task cannot be used: others can read it, and this user cannot change that (EPERM)",
  );
});
