import { cloudflareTest } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";
import { bundleIoredis } from "./test/support/bundle-ioredis.ts";

export default defineConfig({
  test: {
    silent: "passed-only",
    reporters: ["default", "./test/support/totals-reporter.ts"],
    projects: [
      {
        plugins: [cloudflareTest({ wrangler: { configPath: "./wrangler.toml" } })],
        resolve: { alias: { ioredis: await bundleIoredis() } },
        test: {
          name: "workers",
          include: ["test/workers/**/*.test.ts"],
          globalSetup: ["test/support/redis-global-setup.ts"],
        },
      },
      {
        test: {
          name: "node",
          globalSetup: ["./test/support/bundle-setup.ts", "./test/support/redis-global-setup.ts"],
          testTimeout: 60_000,
          include: ["test/unit/**/*.test.ts", "test/node/**/*.test.ts", "test/e2e/**/*.test.ts"],
        },
      },
    ],
  },
});
