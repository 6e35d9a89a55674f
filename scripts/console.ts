/**
 * Builds the pages for people: `src/console` bundled for browsers, and docs/ as it is, in a folder that
 * the Worker's assets are (wrangler.toml runs this file) and that `holdfast serve` shows the Worker.
 */
import {
  copyFileSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { build } from "esbuild";
import { PROJECT } from "./bundle.ts";

/** Files that need no bundling. */
const AS_THEY_ARE = ["console.html", "icon.svg"];

/** Where wrangler.toml's assets are. */
export const CONSOLE_FOLDER = join(PROJECT, ".holdfast", "console");

/** Each file replaces the old one in one step: a service may be reading the folder. */
export async function buildConsole(outdir = CONSOLE_FOLDER): Promise<void> {
  mkdirSync(join(outdir, "docs"), { recursive: true });
  // Beside the folder, because each of its files would be uploaded.
  const building = mkdtempSync(join(dirname(outdir), ".console-building-"));
  try {
    const source = join(PROJECT, "src", "console");
    await build({
      entryPoints: [join(source, "console.tsx"), join(source, "console.css")],
      outdir: building,
      bundle: true,
      minify: true,
      format: "esm",
      target: "es2022",
      jsx: "automatic",
      jsxImportSource: "preact",
      legalComments: "none",
      logLevel: "warning",
    });
    mkdirSync(join(building, "docs"));
    for (const name of AS_THEY_ARE) copyFileSync(join(source, name), join(building, name));
    const index = readFileSync(join(source, "index.html"), "utf8");
    writeFileSync(
      join(building, "index.html"),
      index.replace("FIVE LINES", () => fiveLines()),
    );
    const documents = [...globSync("docs/*.md", { cwd: PROJECT }), "README.md"];
    for (const path of documents) {
      copyFileSync(join(PROJECT, path), join(building, "docs", basename(path)));
    }
    for (const file of globSync("**/*.*", { cwd: building })) {
      renameSync(join(building, file), join(outdir, file));
    }
  } finally {
    rmSync(building, { recursive: true, force: true });
  }
}

/** The five lines of README.md, for a page. */
function fiveLines(): string {
  const readme = readFileSync(join(PROJECT, "README.md"), "utf8");
  const [, lines] = /<!-- five lines -->\n```sh\n(.*?)\n```/s.exec(readme) ?? [];
  if (lines === undefined) throw new Error("README.md has no five lines");
  return lines.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

if (import.meta.main) await buildConsole();
