import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { PROJECT } from "../../../scripts/bundle.ts";
import { startRedis } from "../../support/redis-server.ts";

const LONG = "await new Promise((resolve) => setTimeout(resolve, 60_000));";

/** Runs a module until it prints something, ends it by a signal, and answers the printed text. */
async function runUntilSignalled(source: string): Promise<string> {
  const signals = 'process.once("SIGTERM", () => process.exit(1));';
  const child = spawn(process.execPath, ["--input-type=module", "-e", signals + source + LONG], {
    cwd: PROJECT,
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const ended = once(child, "exit");
  const [printed] = (await once(child.stdout, "data")) as [Buffer];
  child.kill("SIGTERM");
  await ended;
  return printed.toString().trim();
}

it.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("a command that %s ends has the status %i, as in a shell", async (signal, status) => {
  const source = `
    import { runCommand } from "./scripts/command-line.ts";
    await runCommand("it", "", async () => {
      console.log("runs");
      ${LONG}
    });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", source], { cwd: PROJECT });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  child.kill(signal);
  expect(await once(child, "exit")).toEqual([status, null]);
});

it("deletes folders, with all that is in them, where a signal ends the process", async () => {
  const folder = await runUntilSignalled(`
    import { writeFileSync } from "node:fs";
    import { makeFolder } from "./bench/servers.ts";
    const folder = makeFolder("leftovers");
    writeFileSync(folder + "/stored", "x");
    console.log(folder);
  `);
  expect(folder).toContain("bench-leftovers-");
  expect(existsSync(folder)).toBe(false);
});

it("deletes a Redis's folder where a signal ends the process", async () => {
  const folder = await runUntilSignalled(`
    import { startRedis } from "./test/support/redis-server.ts";
    console.log((await startRedis()).dir);
  `);
  expect(folder).toContain("holdfast-redis-");
  expect(existsSync(folder)).toBe(false);
});

it("says what to install where there is no redis-server", async () => {
  vi.stubEnv("PATH", "/nowhere");
  onTestFinished(() => void vi.unstubAllEnvs());
  await expect(startRedis()).rejects.toThrow("apt-get install redis-server");
});

it.each([
  ["its arguments are wrong", ["--no-such-option", "x"], () => {}],
  [
    "its folder cannot be made ready",
    [],
    () => {
      throw new Error("not ready");
    },
  ],
] as const)("leaves no folder of a Redis that does not start as %s", async (_what, args, fail) => {
  let folder = "";
  const prepare = (dir: string) => {
    writeFileSync(join((folder = dir), "made-ready"), "");
    fail();
  };
  await expect(startRedis({ args, prepare })).rejects.toThrow(/did not start|not ready/);
  expect(folder).toContain("holdfast-redis-");
  expect(existsSync(folder)).toBe(false);
});
