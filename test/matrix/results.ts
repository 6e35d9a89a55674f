/** The result of the whole matrix: kept once as JSON lines, and as the tables that the command prints. */
import { mkdir, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { goesOn, type Cell, type Run } from "./cell.ts";
import { CLIENTS, type Seen } from "./clients.ts";
import type { Conformance } from "./conformance.ts";
import { SERVERS } from "./servers.ts";

export interface Result {
  /** The day, as in 2026-11-29. */
  readonly date: string;
  readonly machine: string;
  readonly seconds: number;
  /** Package to version. */
  readonly versions: Readonly<Record<string, string>>;
  readonly cells: readonly Cell[];
  readonly conformance: readonly Conformance[];
}

export const machine = () => `${cpus().length} cores, Node ${process.versions.node}`;

const FOLDER = join(import.meta.dirname, "results");

/** Writes the heading, the cells and the conformance, one a line, and the tables. */
export async function keep(result: Result): Promise<void> {
  const { cells, conformance, ...heading } = result;
  const lines = [heading, ...cells, ...conformance].map(
    (one) => `${JSON.stringify(one, (key, value) => (key === "tools" ? namesOf(value) : value))}\n`,
  );
  await mkdir(FOLDER, { recursive: true });
  await writeFile(join(FOLDER, "matrix.jsonl"), lines.join(""));
  await writeFile(join(FOLDER, "matrix.md"), tables(result));
}

const namesOf = (tools: Seen["tools"]) => tools.map(({ name }) => name);

/** Markdown. */
export function tables(result: Result): string {
  const { date, seconds, cells, conformance, versions } = result;
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    "# Real servers and clients through the gateway",
    `${date}, \`npm run matrix\`, ${result.machine}, ${seconds} s. [docs/mcp.md](../../../docs/mcp.md#tried-with) says how it is done.`,
    "Each pair, direct and through the gateway at `/mcp` and `/sse`: tools, results, progress and errors.",
    grid(cells, sameness),
    "The first call of the same client after `kill -9` and a new start of the server: direct, and through the gateway in milliseconds at `/mcp` and `/sse`.",
    grid(cells, recovery),
    "The conformance suite: scenarios that pass direct, and of those through the gateway.",
    conformanceTable(conformance),
    ...differences(result),
    `Versions: ${packages.join(", ")}.`,
  ]
    .filter((part) => part !== "")
    .join("\n\n")
    .concat("\n");
}

/** Each difference on a line of its own. */
export function differences({ cells, conformance }: Pick<Result, "cells" | "conformance">) {
  return [
    ...cells.flatMap((one) =>
      one.differences.map((what) => `${one.server} / ${one.client} ${what}`),
    ),
    ...conformance.flatMap((one) =>
      one.differences.map((what) => `conformance ${one.suite} / ${one.server}: ${what}`),
    ),
  ].map((one) => `- ${one}`);
}

function grid(cells: readonly Cell[], words: (cell: Cell) => string): string {
  const servers = SERVERS.filter(({ name }) => cells.some(({ server }) => server === name));
  const clients = CLIENTS.filter((name) => cells.some(({ client }) => client === name));
  if (servers.length === 0) return "";
  const rows = servers.map(({ name }) => {
    const mine = clients.map((client) =>
      cells.find((one) => one.server === name && one.client === client),
    );
    return `| ${name} | ${mine.map((one) => (one ? words(one) : "not run")).join(" | ")} |`;
  });
  return [
    `| server | ${clients.join(" | ")} |`,
    `|---|${"---|".repeat(clients.length)}`,
    ...rows,
  ].join("\n");
}

function sameness({ direct, through, differences: found }: Cell): string {
  if (found.length > 0) return "**worse**";
  if (direct.seen) return "same";
  return Object.values(through).some(({ seen }) => seen) ? "only through the gateway" : "neither";
}

function recovery({ direct, through }: Cell): string {
  const ways = Object.values(through).map((run) => (goesOn(run) ? run.again?.ms : "**lost**"));
  return `${directly(direct)}; ${ways.join(", ")}`;
}

const directly = (run: Run) => (goesOn(run) ? "goes on" : run.seen ? "lost" : "none");

function conformanceTable(conformance: readonly Conformance[]): string {
  if (conformance.length === 0) return "";
  const rows = conformance.map(({ suite, server, direct, through }) => {
    const passing = Object.keys(direct).filter((name) => direct[name]);
    const kept = passing.filter((name) => through[name]);
    return `| ${suite} | ${server} | ${passing.length} of ${Object.keys(direct).length} | ${kept.length} |`;
  });
  return ["| suite | server | direct | through |", "|---|---|---|---|", ...rows].join("\n");
}
