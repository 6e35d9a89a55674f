/**
 * `npm test` needs a real Redis of 6.2 or newer (GETEX). Where none is installed,
 * this installs one on Debian, as root; elsewhere it says in one line what is missing.
 */
import { execFileSync } from "node:child_process";

const NEEDED = [6, 2] as const;

/** The version on the PATH; undefined where there is none. */
function installedVersion(): readonly [number, number] | undefined {
  try {
    const text = execFileSync("redis-server", ["--version"], { encoding: "utf8" });
    const [, major, minor] = /v=(\d+)\.(\d+)/.exec(text) ?? [];
    return [Number(major), Number(minor)];
  } catch {
    return undefined;
  }
}

function isEnough([major, minor]: readonly [number, number]): boolean {
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1]);
}

/** False where this machine has no apt-get, or no right to use it. */
function install(): boolean {
  if (process.getuid?.() !== 0) return false;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const aptGet = (...args: string[]) =>
    execFileSync("apt-get", ["-qq", "-o", "Dpkg::Use-Pty=0", ...args], { env, stdio: "pipe" });
  try {
    aptGet("update");
    // redis-cli and openssl are what the tests look at Redis and make certificates with.
    aptGet("install", "-y", "--no-install-recommends", "redis-server", "redis-tools", "openssl");
    return true;
  } catch {
    return false;
  }
}

const before = installedVersion();
if (!before && !install()) fail("redis-server 6.2 or newer is not installed");
const version = before ?? installedVersion();
if (!version) fail("redis-server was installed, but is not on the PATH");
if (!isEnough(version)) fail(`redis-server 6.2 or newer is needed, not ${version.join(".")}`);

function fail(problem: string): never {
  console.error(
    `${problem} (the tests start servers of their own; on Debian: apt-get install redis-server)`,
  );
  process.exit(1);
}
