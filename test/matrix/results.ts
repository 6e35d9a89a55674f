/** The result of the whole matrix: kept once as JSON lines, and quoted from them in docs/mcp.md. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { withBetween } from "../../bench/report.ts";
import { PROJECT } from "../../scripts/bundle.ts";
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

const FILE = join(import.meta.dirname, "results", "matrix.jsonl");
const PAGE = join(PROJECT, "docs", "mcp.md");
const START = "<!-- results: npm run matrix writes what follows -->";
const END = "<!-- end of results -->";

/** Writes the heading, the cells and the conformance, one a line, and quotes them in docs/mcp.md. */
export async function keep(result: Result): Promise<void> {
  const { cells, conformance, ...heading } = result;
  const lines = [heading, ...cells, ...conformance].map((one) => `${JSON.stringify(one, named)}\n`);
  await mkdir(dirname(FILE), { recursive: true });
  await writeFile(FILE, lines.join(""));
  await writeFile(PAGE, withSection(await readFile(PAGE, "utf8"), result));
}

/** Of the tools the names alone: their descriptions would be most of the file. */
const named = (key: string, value: unknown) =>
  key === "tools" ? (value as Seen["tools"]).map(({ name }) => ({ name })) : value;

/** The result that is kept. */
export async function readResult(): Promise<Result> {
  const [heading = "", ...lines] = (await readFile(FILE, "utf8")).trimEnd().split("\n");
  const figures = lines.map((line) => JSON.parse(line) as Cell | Conformance);
  return {
    ...(JSON.parse(heading) as Omit<Result, "cells" | "conformance">),
    cells: figures.filter((one) => "client" in one),
    conformance: figures.filter((one) => "suite" in one),
  };
}

export const withSection = (page: string, result: Result) =>
  withBetween(page, [START, END], `${section(result)}\n\n`);

/** Markdown: what was the same, the first call after a restart, the conformance suite, the versions. */
export function section(result: Result): string {
  const { date, seconds, cells, conformance, versions } = result;
  const found = differences(result);
  const works = cells.filter(({ direct }) => direct.seen).length;
  const same = cells.filter((cell) => cell.direct.seen && cell.differences.length === 0).length;
  const packages = Object.entries(versions)
    .toSorted(([left], [right]) => left.localeCompare(right))
    .map(([name, version]) => `${name} ${version.replace(/^npm:.*@/, "")}`);
  return [
    `${date}, \`npm run matrix\`, ${result.machine}, ${seconds} s.`,
    cells.length > 0 && [
      `Of ${cells.length} pairs ${works} work without the gateway, and ${same} of these are as good through it. Milliseconds of the first call after the restart, direct / at \`/mcp\` / at \`/sse\`:`,
      grid(cells),
    ],
    conformance.length > 0 && conformanceTable(conformance),
    found.length > 0 && found.map((one) => `- ${one}`).join("\n"),
    `Versions: ${packages.join(", ")}.`,
  ]
    .flat()
    .filter((part) => part !== false)
    .join("\n\n");
}

/** In which the gateway is worse. */
export function differences({ cells, conformance }: Pick<Result, "cells" | "conformance">) {
  return [
    ...cells.flatMap(({ server, client, differences: found }) =>
      found.map((what) => `${server} / ${client} ${what}`),
    ),
    ...conformance.flatMap(({ suite, server, differences: found }) =>
      found.map((what) => `conformance ${suite} / ${server}: ${what}`),
    ),
  ];
}

function grid(cells: readonly Cell[]): string {
  const servers = SERVERS.filter(({ name }) => cells.some(({ server }) => server === name));
  const clients = CLIENTS.filter((name) => cells.some(({ client }) => client === name));
  const rows = servers.map(({ name }) => {
    const mine = clients.map((client) =>
      cells.find((one) => one.server === name && one.client === client),
    );
    return `| ${name} | ${mine.map((one) => (one ? words(one) : "not run")).join(" | ")} |`;
  });
  const head = [`| server | ${clients.join(" | ")} |`, `|---|${"---|".repeat(clients.length)}`];
  return [...head, ...rows].join("\n");
}

const words = ({ direct, through }: Cell) =>
  [direct, ...Object.values(through)].map(recovery).join(" / ");

/** Milliseconds of the first call after the restart. */
const recovery = (run: Run) =>
  !run.seen ? "no connection" : goesOn(run) ? String(run.again?.ms) : "lost";

function conformanceTable(conformance: readonly Conformance[]): string {
  const rows = conformance.map(({ suite, server, direct, through }) => {
    const passing = Object.keys(direct).filter((name) => direct[name]);
    const kept = passing.filter((name) => through[name]);
    return `| ${suite} | ${server} | ${Object.keys(direct).length} | ${passing.length} | ${kept.length} |`;
  });
  const head = "| conformance suite | server | scenarios | pass direct | of these through |";
  return [head, "|---|---|---|---|---|", ...rows].join("\n");
}
