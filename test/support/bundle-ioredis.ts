/**
 * Bundles ioredis for tests in workerd, in the way that wrangler bundles a deploy.
 * File by file, as the test pool loads packages, ioredis's import of the package
 * `debug` resolves to ioredis's own file of that name, which then calls itself.
 */
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { build } from "esbuild";
import type { Plugin } from "esbuild";

/** An ESM bundle cannot `require` what the runtime provides, so each is imported and handed over. */
const importBuiltins: Plugin = {
  name: "import-builtins",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /.*/ }, ({ kind, path }) => {
      if (kind !== "require-call" || !isBuiltin(path)) return undefined;
      return { path: path.replace(/^node:/, ""), namespace: "builtin" };
    });
    onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
      contents: `import provided from "node:${path}"; module.exports = provided;`,
    }));
  },
};

/** Writes the bundle and answers its path, for an alias. */
export async function bundleIoredis(): Promise<string> {
  const outfile = join(import.meta.dirname, "../../node_modules/.cache/holdfast/ioredis.mjs");
  await build({
    // Named exports must be named here: esbuild gives a CommonJS module only a default one.
    stdin: {
      contents: 'export { Cluster, Redis, SentinelConnector } from "ioredis";',
      resolveDir: import.meta.dirname,
    },
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    conditions: ["workerd"],
    external: ["node:*"],
    plugins: [importBuiltins],
    logLevel: "warning",
  });
  return outfile;
}
