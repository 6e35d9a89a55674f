/** The packed package, and the examples as somebody has them who installed it. */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { inject } from "vitest";
import { PROJECT } from "../../scripts/bundle.ts";
import { atEnd } from "./scope.ts";

/** The path of the tarball that `npm pack` makes. The first who asks in a run waits some seconds for it. */
export async function packed(): Promise<string> {
  const response = await fetch(inject("packer"));
  const text = await response.text();
  if (!response.ok) throw new Error(`npm pack failed: ${text}`);
  return text;
}

/** The path of the command `holdfast` in the packed package, with workerd beside it. */
export async function packedCommand(): Promise<string> {
  return join(dirname(await packed()), "package", "bin", "holdfast.js");
}

/** How a command ended. */
export interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the packed command `holdfast` to its end, for a minute at most. */
export async function holdfast(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input = "",
  command?: string,
): Promise<Said> {
  const path = command ?? (await packedCommand());
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [path, ...args],
      { env: { PATH: process.env["PATH"], ...env }, timeout: 60_000 },
      (failure, stdout, stderr) => {
        const status = failure === null ? 0 : Number(failure.code ?? -1);
        resolve({ status, stdout, stderr });
      },
    );
    child.stdin?.end(input);
  });
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

export async function manifestOf(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as Manifest;
}

/**
 * Copies an example to a folder of its own, with the packages that its package.json names and no
 * others: `holdfast` from the tarball, the rest from the project's own `node_modules`. Resolves with
 * the folder, which goes with the test.
 */
export async function exampleAlone(name: string): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), "holdfast-example-"));
  atEnd(() => rm(home, { recursive: true, force: true }));
  const folder = join(home, name);
  const source = join(PROJECT, "examples", name);
  const left = ["node_modules", "dist", ".wrangler"].map((part) => join(source, part));
  await cp(source, folder, { recursive: true, filter: (path) => !left.includes(path) });
  const holdfast = join(home, "holdfast");
  await cp(join(dirname(await packed()), "package"), holdfast, { recursive: true });
  const own = await manifestOf(holdfast);
  await link(holdfast, { ...own.dependencies, ...own.peerDependencies });
  const { dependencies, devDependencies } = await manifestOf(folder);
  await link(folder, { ...dependencies, ...devDependencies }, { holdfast });
  await symlink(join(PROJECT, "node_modules/.bin"), join(folder, "node_modules/.bin"));
  return folder;
}

/** Links packages into a folder: each from where `elsewhere` says, or from the project's own. */
async function link(
  folder: string,
  packages: Readonly<Record<string, string>>,
  elsewhere: Readonly<Record<string, string>> = {},
): Promise<void> {
  for (const name of Object.keys(packages)) {
    const path = join(folder, "node_modules", name);
    await mkdir(dirname(path), { recursive: true });
    await symlink(elsewhere[name] ?? join(PROJECT, "node_modules", name), path);
  }
}

/** Runs the example's own check of its types: the Worker's, and the page's. */
export async function checkTypes(folder: string): Promise<void> {
  await promisify(execFile)("npm", ["run", "check"], { cwd: folder });
}
