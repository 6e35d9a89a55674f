/** A client of 2026-07-28 uses a server that keeps sessions, by the bridge. */
import { expect, it } from "vitest";
import { EraServer } from "../../support/mcp/era-server.ts";
import { tryAll } from "../../support/mcp/era-client.ts";
import { startGateway } from "../../support/mcp/gateway.ts";

it.each(["2026-07-28", "auto"] as const)(
  "has every ability (%s)",
  async (mode) => {
    const server = await EraServer.start("legacy");
    const { url } = await startGateway(
      { default: { url: server.url } },
      { LOG_LEVEL: "debug", KEEPALIVE_SECONDS: "0.2" },
    );
    const { version, wrong } = await tryAll(mode, url, server);
    expect([...wrong].map(([name, cause]) => [name, String(cause)])).toEqual([]);
    expect(version).toBe("2026-07-28");
  },
  120_000,
);
