/** The tests of one module, without the services that the whole suite prepares. `run.ts` names them in MUTANT_TESTS. */
import { defineConfig } from "vitest/config";

const include = (process.env["MUTANT_TESTS"] ?? "").split(",");

export default defineConfig({
  resolve: {
    alias: { "cloudflare:workers": `${process.cwd()}/test/support/platform/workers-module.ts` },
  },
  // A mutant that waits for ever fails by this time, in milliseconds. A loop is ended by Stryker.
  test: { root: process.cwd(), include, testTimeout: 5000, hookTimeout: 5000 },
});
