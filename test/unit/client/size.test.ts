/** Bounds the bytes that a page loads: bundled and minified by esbuild, compressed by gzip. */
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, it } from "vitest";

const ENTRIES = join(import.meta.dirname, "../../../src/entries");

async function bundled(entry: string) {
  const { outputFiles, metafile } = await build({
    entryPoints: [join(ENTRIES, entry)],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    // Would fail on an import of Node's or a Worker's modules.
    platform: "neutral",
    external: ["react"],
  });
  const packages = Object.keys(metafile.inputs).map(
    (path) => /node_modules\/([^/]+)/.exec(path)?.[1],
  );
  const bytes = gzipSync(outputFiles[0]?.contents ?? "").length;
  // Not by the console, of which a test that passes shows nothing.
  process.stdout.write(`${entry}: ${bytes} bytes compressed\n`);
  return { bytes, packages: new Set(packages) };
}

it.each([
  ["client.ts", 6],
  ["react.ts", 7],
])("%s is under %i KiB compressed, its one dependency included", async (entry, most) => {
  const { bytes, packages } = await bundled(entry);
  expect(bytes).toBeLessThan(most * 1024);
  expect(packages).toEqual(new Set([undefined, "eventsource-parser"]));
});
