/** The servers and clients are a package of their own, installed when they are first driven. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { installPackage } from "../support/own-package.ts";

const FOLDER = import.meta.dirname;

const { resolve } = createRequire(import.meta.url);

/** The path of a file of a package: of the matrix's own modules, or the project's where those are not installed. */
export const moduleFile = (name: string, path: string) =>
  join(dirname(resolve(`${name}/package.json`)), path);

export const install = () =>
  installPackage(
    FOLDER,
    "matrix: installing its servers and clients (npm ci in test/matrix, 300 MB)",
  );

/** Name and version of each package that the matrix names, as they are installed. */
export async function versions(): Promise<Readonly<Record<string, string>>> {
  const manifest = JSON.parse(await readFile(join(FOLDER, "package.json"), "utf8")) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  return manifest.dependencies;
}
