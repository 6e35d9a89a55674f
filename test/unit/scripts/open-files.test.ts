import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { openFilesAdvice, openFilesLimit } from "../../../scripts/open-files.ts";

it("reads the limit that a shell has set", () => {
  const script = `import { openFilesLimit } from "./scripts/open-files.ts"; console.log(openFilesLimit())`;
  const shell = `ulimit -n 700; exec "${process.execPath}" --input-type=module -e '${script}'`;
  expect(execFileSync("sh", ["-c", shell], { encoding: "utf8" }).trim()).toBe("700");
  expect(openFilesLimit()).toBeGreaterThan(0);
});

it("says what a limit allows", () => {
  expect(openFilesAdvice(4096)).toBe(
    "4096 files may be open: 1504 idle connections, or 376 sessions in use at a time; beyond, requests get 503",
  );
});

it("refuses a limit with which nothing could be served", () => {
  expect(() => openFilesAdvice(127)).toThrow(/limit of open files is 127, .* 128 or more/);
  expect(() => openFilesAdvice(128)).not.toThrow();
});
