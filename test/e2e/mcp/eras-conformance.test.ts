/**
 * The official conformance suite through the bridge: 2025-11-25's requirements in front of a server of
 * 2026-07-28 alone, and the other way round. docs/mcp.md lists what cannot pass, with the reason.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PROJECT } from "../../../scripts/bundle.ts";
import { conformance, local } from "../../support/mcp/conformance.ts";
import { EraServer } from "../../support/mcp/era-server.ts";
import { startGateway } from "../../support/mcp/gateway.ts";
import { beside } from "../../support/scope.ts";

/** Scenarios that docs/mcp.md says cannot pass. */
async function excused(requirements: string): Promise<string[]> {
  const page = await readFile(join(PROJECT, "docs", "mcp.md"), "utf8");
  const rows = page.matchAll(/^\| (\d{4}-\d{2}-\d{2}) \| `([^`]+)` \|/gm);
  return [...rows].filter(([, version]) => version === requirements).map(([, , name = ""]) => name);
}

describe.concurrent("the conformance suite through the bridge", () => {
  it.each([
    ["2025-11-25", "modern", 33],
    ["2026-07-28", "legacy", 50],
  ] as const)(
    "%s in front of a server that is %s-only",
    async (requirements, era, count) =>
      beside(async () => {
        const server = await EraServer.start(era);
        const { url } = await startGateway({ default: { url: server.url } });
        const { scenarios } = await conformance(local(url), requirements);
        // Tasks are an extension, which neither server has.
        const failing = Object.keys(scenarios).filter(
          (name) => !scenarios[name] && !name.startsWith("tasks-"),
        );
        expect(failing.toSorted()).toEqual((await excused(requirements)).toSorted());
        expect(Object.keys(scenarios)).toHaveLength(count);
      })(),
    120_000,
  );
});
