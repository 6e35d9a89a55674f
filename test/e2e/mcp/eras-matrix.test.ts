/**
 * Each mode of the official client with a server of each era: every ability, direct and through the
 * gateway. The table of it stands in docs/mcp.md; `ERAS=write` writes it anew.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { withBetween } from "../../../bench/report.ts";
import { PROJECT } from "../../../scripts/bundle.ts";
import type { Era } from "../../../src/gateway/eras/speaks.ts";
import { ABILITIES, MODES, tryAll, type Mode } from "../../support/mcp/era-client.ts";
import { EraServer } from "../../support/mcp/era-server.ts";
import { startGateway } from "../../support/mcp/gateway.ts";
import { shared } from "../../support/scope.ts";

const PAGE = join(PROJECT, "docs", "mcp.md");
const MARKS: [string, string] = [
  "<!-- eras: test/e2e/mcp/eras-matrix.test.ts writes what follows -->",
  "<!-- end of eras -->",
];
const ERAS = ["legacy", "modern"] as const;
const PAIRS = (Object.keys(MODES) as Mode[]).flatMap((mode) =>
  ERAS.map((era) => [mode, era] as const),
);

/** A server of each era, with a gateway in front of both. */
const start = shared(async () => {
  const legacy = await EraServer.start("legacy");
  const modern = await EraServer.start("modern");
  const upstreams = { legacy: { url: legacy.url }, modern: { url: modern.url } };
  const { url } = await startGateway(upstreams, { KEEPALIVE_SECONDS: "0.2" });
  return { legacy, modern, url };
});

async function tryPair(mode: Mode, era: Era) {
  const { url, ...servers } = await start();
  const server = servers[era];
  const direct = await tryAll(mode, server.url, server);
  const through = await tryAll(mode, `${url}/${era}`, server);
  return { mode, era, direct, through };
}

type Pair = Awaited<ReturnType<typeof tryPair>>;

const isBridged = ({ mode, era }: Pair) =>
  mode !== "auto" && (mode === "legacy") !== (era === "legacy");

function table(pairs: readonly Pair[]): string {
  const word = (ability: string, { version, wrong }: Pair["direct"]) =>
    wrong.has(ability) ? "no" : ability === "connect" ? version : "yes";
  const rows = Object.keys(ABILITIES).map((ability) => {
    const cells = pairs.map(
      ({ direct, through }) => `${word(ability, direct)} / ${word(ability, through)}`,
    );
    return `| ${ability} | ${cells.join(" | ")} |`;
  });
  const heads = pairs.map(({ mode, era }) => `${mode}, ${era}-only`);
  return [
    `| client, server | ${heads.join(" | ")} |`,
    `|---|${"---|".repeat(pairs.length)}`,
    ...rows,
    "",
    "",
  ].join("\n");
}

it("carries every ability between every client and every server, as docs/mcp.md says", async () => {
  const pairs = await Promise.all(PAIRS.map(([mode, era]) => tryPair(mode, era)));
  const failures = pairs.flatMap((pair) => {
    const { mode, era, direct, through } = pair;
    const words = (way: string, wrong: Pair["direct"]["wrong"]) =>
      [...wrong].map(
        ([ability, cause]) => `${mode}, ${era}-only, ${way}, ${ability}: ${String(cause)}`,
      );
    return [
      ...(isBridged(pair) ? [] : words("direct", direct.wrong)),
      ...words("through", through.wrong),
    ];
  });
  expect(failures).toEqual([]);
  // Without the gateway no client gets a word out of a server of the other era.
  for (const { direct } of pairs.filter(isBridged)) {
    expect(direct.wrong.size).toBe(Object.keys(ABILITIES).length);
  }
  const page = await readFile(PAGE, "utf8");
  const written = withBetween(page, MARKS, table(pairs));
  if (process.env["ERAS"] === "write") await writeFile(PAGE, written);
  else expect(page).toBe(written);
}, 60_000);
