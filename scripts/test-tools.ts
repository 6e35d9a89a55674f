/**
 * The programs that the tests need beside npm's packages: a real Redis of 6.2 or newer
 * (GETEX), redis-cli to look at it, openssl to make certificates, a Chromium for pages, Prometheus'
 * promtool for what /metrics says.
 */
import { execFileSync } from "node:child_process";

/** Programs, and Debian's package of each. */
const PACKAGES: Readonly<Record<string, string>> = {
  "redis-server": "redis-server",
  "redis-cli": "redis-tools",
  openssl: "openssl",
  chromium: "chromium",
  promtool: "prometheus",
};
const NEEDED = [6, 2] as const;

export interface Machine {
  /** The output of the program's `--version`; undefined if there is no such program. */
  version(program: string): string | undefined;
  readonly mayInstall: boolean;
  /** Installs packages of Debian's. Throws where that fails. */
  install(packages: readonly string[]): void;
}

/** Installs missing programs if it may. Returns one line on what is still missing; undefined if nothing is. */
export function requireTools(machine: Machine): string | undefined {
  const missing = () => Object.keys(PACKAGES).filter((name) => machine.version(name) === undefined);
  const lacking = missing();
  if (lacking.length > 0 && machine.mayInstall) {
    const packages = lacking.map((name) => PACKAGES[name] ?? name);
    try {
      machine.install(packages);
    } catch {
      return help(`${lacking.join(", ")}: not there, and apt-get could not install it`);
    }
  }
  const left = missing();
  if (left.length > 0) return help(`${left.join(", ")}: not installed`);
  const [, major = "0", minor = "0"] =
    /v=(\d+)\.(\d+)/.exec(machine.version("redis-server") ?? "") ?? [];
  if (Number(major) > NEEDED[0]) return undefined;
  if (Number(major) === NEEDED[0] && Number(minor) >= NEEDED[1]) return undefined;
  return help(`redis-server ${NEEDED.join(".")} or newer is needed, not ${major}.${minor}`);
}

function help(problem: string): string {
  const packages = Object.values(PACKAGES).join(" ");
  return `${problem} (the tests start them themselves; on Debian: apt-get install ${packages})`;
}

/** This machine. `env` is the environment of its programs; they are looked for in its PATH. */
export function thisMachine(env: NodeJS.ProcessEnv = process.env): Machine {
  const run = (program: string, args: readonly string[]) =>
    execFileSync(program, args, {
      env: { ...env, DEBIAN_FRONTEND: "noninteractive" },
      encoding: "utf8",
      stdio: "pipe",
    });
  const quietly = ["-qq", "-o", "Dpkg::Use-Pty=0"];
  return {
    version(program) {
      try {
        return run(program, [program === "openssl" ? "version" : "--version"]);
      } catch {
        return undefined;
      }
    },
    // Elsewhere there is no apt-get, or no right to use it.
    mayInstall: process.getuid?.() === 0,
    install(packages) {
      run("apt-get", [...quietly, "update"]);
      run("apt-get", [...quietly, "install", "-y", "--no-install-recommends", ...packages]);
    },
  };
}
