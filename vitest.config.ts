import { cloudflareTest } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    silent: "passed-only",
    reporters: ["default", "./test/support/totals-reporter.ts", "./test/support/kept-logs.ts"],
    projects: [
      {
        plugins: [cloudflareTest({ wrangler: { configPath: "./wrangler.toml" } })],
        test: {
          name: "workers",
          include: ["test/workers/**/*.test.ts"],
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "node",
          globalSetup: "./test/support/bundle-setup.ts",
          testTimeout: 60_000,
          sequence: { groupOrder: 1 },
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
