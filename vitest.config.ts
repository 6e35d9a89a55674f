import { availableParallelism } from "node:os";
import { cloudflareTest } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";
import { bundleIoredis } from "./test/support/bundle-ioredis.ts";
import SlowFirst from "./test/support/slow-first.ts";

/**
 * Milliseconds. They bound what hangs, not what a busy machine is slow at: there a
 * file's first test loads the Worker for 5 s and more.
 */
const patience = {
  testTimeout: 60_000,
  hookTimeout: 60_000,
  expect: { poll: { timeout: 50_000 } },
};

/** Node has no such module; unit tests of the objects bring their own platform. */
const WORKERS_MODULE = `${import.meta.dirname}/test/support/platform/workers-module.ts`;

export default defineConfig({
  test: {
    silent: "passed-only",
    // Tests that run beside each other in a file wait most of the time.
    maxConcurrency: 16,
    // Most tests wait for processes of their own, or for time to pass, so there are twice as many workers as cores.
    maxWorkers: availableParallelism() * 2,
    sequence: { sequencer: SlowFirst },
    reporters: ["default", "./test/support/totals-reporter.ts", "./test/support/kept-logs.ts"],
    projects: [
      {
        plugins: [cloudflareTest({ wrangler: { configPath: "./wrangler.toml" } })],
        resolve: { alias: { ioredis: await bundleIoredis() } },
        test: {
          ...patience,
          name: "workers",
          include: ["test/workers/**/*.test.ts"],
          globalSetup: ["test/support/redis-global-setup.ts"],
          sequence: { groupOrder: 1 },
        },
      },
      {
        resolve: { alias: { "cloudflare:workers": WORKERS_MODULE } },
        test: {
          ...patience,
          name: "node",
          globalSetup: [
            "./test/support/bundle-setup.ts",
            "./test/support/packed-setup.ts",
            "./test/support/redis-global-setup.ts",
          ],
          sequence: { groupOrder: 1 },
          // A process takes file after file, and loads what they import once: wrangler alone takes a second.
          isolate: false,
          setupFiles: ["./test/support/kept-globals.ts"],
          include: ["test/unit/**/*.test.ts", "test/node/**/*.test.ts", "test/e2e/**/*.test.ts"],
        },
      },
      {
        // Looks through what all the others logged, so it comes after them. (Where one worker does all,
        // vitest puts group 0 last, so nothing is in it.)
        test: { name: "logs", include: ["test/logs/**/*.test.ts"], sequence: { groupOrder: 2 } },
      },
    ],
  },
});
