/**
 * `npm test` on a machine without Redis or a browser, with programs of the test's own in
 * place of the machine's. Debian's apt-get itself is not tested.
 */
import { execFile } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { requireTools, thisMachine } from "../../../scripts/test-tools.ts";
import type { Machine } from "../../../scripts/test-tools.ts";

const ENTRY = join(import.meta.dirname, "../../../scripts/require-tools.ts");
const REDIS_7 = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64";

let bin: string;
beforeEach(() => {
  bin = mkdtempSync(join(tmpdir(), "holdfast-path-"));
  // A script needs a shell, and these write files.
  for (const name of ["sh", "cat", "chmod"]) symlinkSync(`/bin/${name}`, join(bin, name));
});
afterEach(() => rmSync(bin, { recursive: true, force: true }));

function program(name: string, script: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
}

/** An apt-get that notes how it was called, and makes programs when it installs. */
function aptGet(redisVersion: string): void {
  const make = (name: string, says: string) =>
    `printf '#!/bin/sh\\necho "${says}"\\n' > ${bin}/${name}; chmod +x ${bin}/${name}`;
  program(
    "apt-get",
    [
      `echo "$DEBIAN_FRONTEND $@" >> ${bin}/calls`,
      `case "$*" in *install*)`,
      make("redis-server", redisVersion),
      make("redis-cli", "redis-cli 7"),
      make("openssl", "OpenSSL 3"),
      make("chromium", "Chromium 156"),
      make("promtool", "promtool 2"),
      ";; esac",
    ].join("\n"),
  );
}

const calls = () => readFileSync(join(bin, "calls"), "utf8").trim().split("\n");
const machine = (more: Partial<Machine> = {}): Machine => ({
  ...thisMachine({ PATH: bin }),
  mayInstall: true,
  ...more,
});

describe("a machine without Redis", () => {
  it("gets what is missing from apt-get, without a question", () => {
    aptGet(REDIS_7);
    expect(requireTools(machine())).toBeUndefined();
    const options = "noninteractive -qq -o Dpkg::Use-Pty=0";
    expect(calls()).toEqual([
      `${options} update`,
      `${options} install -y --no-install-recommends redis-server redis-tools openssl chromium prometheus`,
    ]);
  });

  it("that has the rest gets Redis alone", () => {
    aptGet(REDIS_7);
    program("redis-cli", "echo redis-cli 7");
    program("openssl", "echo OpenSSL 3");
    program("chromium", "echo Chromium 156");
    program("promtool", "echo promtool 2");
    expect(requireTools(machine())).toBeUndefined();
    expect(calls().at(-1)).toMatch(/--no-install-recommends redis-server$/);
  });

  it("gets one line that says so where nothing may be installed", () => {
    aptGet(REDIS_7);
    const problem = requireTools(machine({ mayInstall: false }));
    expect(problem).toMatch(
      /^redis-server, redis-cli, openssl, chromium, promtool: not installed \(.*apt-get install/,
    );
    expect(problem).not.toContain("\n");
    expect(calls).toThrow(/ENOENT/);
  });

  it("gets that line where there is no apt-get, or it fails", () => {
    expect(requireTools(machine())).toMatch(/apt-get could not install it/);
    program("apt-get", "echo no network >&2; exit 100");
    expect(requireTools(machine())).toMatch(/apt-get could not install it/);
  });

  it("gets that line where the Redis that it installs is too old", () => {
    aptGet("Redis server v=6.0.16 sha=00000000:0");
    expect(requireTools(machine())).toMatch(/6\.2 or newer is needed, not 6\.0/);
  });
});

describe("a machine with Redis and a browser", () => {
  beforeEach(() => {
    aptGet(REDIS_7);
    program("redis-cli", "echo redis-cli 7");
    program("openssl", "echo OpenSSL 3");
    // Debian's prints a complaint beside its version.
    program("chromium", "echo Chromium 156; echo unexpected operator >&2");
    program("promtool", "echo promtool 2");
  });

  it("gets a browser alone where only that is missing", () => {
    program("redis-server", `echo ${REDIS_7}`);
    rmSync(join(bin, "chromium"));
    expect(requireTools(machine())).toBeUndefined();
    expect(calls().at(-1)).toMatch(/--no-install-recommends chromium$/);
  });

  it.each(["6.2.0", "7.0.15", "8.4.1", "10.0.0"])("of %s is left alone", (version) => {
    program("redis-server", `echo Redis server v=${version} sha=0`);
    expect(requireTools(machine())).toBeUndefined();
    expect(calls).toThrow(/ENOENT/);
  });

  it.each(["5.0.14", "6.0.16"])("of %s is called too old, and left alone", (version) => {
    program("redis-server", `echo Redis server v=${version} sha=0`);
    expect(requireTools(machine())).toMatch(/6\.2 or newer is needed/);
    expect(calls).toThrow(/ENOENT/);
  });

  it.each([
    ["7.0.15", 0, /^$/],
    ["6.0.16", 1, /^redis-server 6\.2 or newer is needed, not 6\.0 .*\n$/],
  ] as const)("of %s makes the command end with %s", async (version, status, says) => {
    program("redis-server", `echo Redis server v=${version} sha=0`);
    const ended = await new Promise<{ code: number; stderr: string }>((resolve) => {
      execFile(process.execPath, [ENTRY], { env: { PATH: bin } }, (failure, _stdout, stderr) =>
        resolve({ code: Number(failure?.code ?? 0), stderr }),
      );
    });
    expect(ended.code).toBe(status);
    expect(ended.stderr).toMatch(says);
  });
});
