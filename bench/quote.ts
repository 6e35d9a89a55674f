/** The tables of docs/performance.md, written from the results that are kept. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PROJECT } from "../scripts/bundle.ts";
import { claimTable, readResults, table, type Result } from "./report.ts";

const PAGE = join(PROJECT, "docs", "performance.md");
const START = "<!-- results: npm run bench -- --quote writes what follows -->";
const END = "<!-- end of results -->";

/** The suites in the order of the page. */
const ORDER = [
  "floor",
  "mcp-agent",
  "gateways",
  "nchan",
  "express-session",
  "growth",
  "directory",
  "cost",
  "soak",
];

/** The section between the markers: of each result its claims, or its rows where it claims nothing. */
export function section(results: readonly Result[]): string {
  return ORDER.flatMap((name) => results.filter(({ suite }) => suite === name))
    .flatMap(({ title, date, command, machine, claims, rows, notes }) => [
      `### ${title}`,
      "",
      `${date}, \`${command}\`, ${machine}.`,
      "",
      ...(claims.length > 0 ? claimTable(claims) : table(rows)),
      "",
      ...notes.map((note) => `- ${note}`),
      "",
    ])
    .join("\n");
}

/** The text with the section between its markers replaced. Throws where it has no markers. */
export function withSection(page: string, results: readonly Result[]): string {
  const [start, end] = [page.indexOf(START), page.indexOf(END)];
  if (start < 0 || end < start) throw new Error(`docs/performance.md has no ${START} … ${END}`);
  return `${page.slice(0, start + START.length)}\n\n${section(results)}${page.slice(end)}`;
}

export async function quoteResults(): Promise<void> {
  await writeFile(PAGE, withSection(await readFile(PAGE, "utf8"), await readResults()));
}
