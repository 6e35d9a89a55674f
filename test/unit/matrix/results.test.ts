/** The kept result of `npm run matrix`, as docs/mcp.md quotes it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { CLIENTS } from "../../matrix/clients.ts";
import { SUITES } from "../../matrix/conformance.ts";
import { readResult, withSection } from "../../matrix/results.ts";
import { SERVERS } from "../../matrix/servers.ts";
import { PROJECT } from "../../../scripts/bundle.ts";

it("docs/mcp.md quotes the result that is kept", async () => {
  const page = readFileSync(join(PROJECT, "docs", "mcp.md"), "utf8");
  expect(withSection(page, await readResult())).toBe(page);
});

it("it is whole", async () => {
  const { cells, conformance } = await readResult();
  const pairs = SERVERS.flatMap(({ name }) => CLIENTS.map((client) => `${name} / ${client}`));
  expect(cells.map(({ server, client }) => `${server} / ${client}`).toSorted()).toEqual(
    pairs.toSorted(),
  );
  expect(conformance).toHaveLength(2 * SUITES.length);
});
