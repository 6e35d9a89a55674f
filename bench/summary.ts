/**
 * The README's performance section, written from the results that are kept, so that
 * no number in it was typed. `npm run bench` does it for each result that it keeps; `npm run bench -- --quote` does it alone.
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PROJECT } from "../scripts/bundle.ts";
import type { Claim } from "./claim.ts";
import { RESULTS, type Heading } from "./report.ts";
import { claimTable } from "./table.ts";

const README = join(PROJECT, "README.md");
const START = "<!-- results: npm run bench -- --quote writes what follows -->";
const END = "<!-- end of results -->";

/** The suites that are quoted, in this order. */
const ORDER = [
  "floor",
  "mcp-agent",
  "gateways",
  "nchan",
  "express-session",
  "growth",
  "directory",
  "cost",
];

export interface Result {
  readonly suite: string;
  readonly heading: Heading & { readonly date: string };
  readonly claims: readonly Claim[];
}

type Line = Partial<Heading & Claim> & { readonly suite: string; readonly date: string };

export async function readResults(folder = RESULTS): Promise<Result[]> {
  const kept = (await readdir(folder)).filter((name) => name.endsWith(".jsonl"));
  const results = await Promise.all(
    kept.map(async (name) => parse(await readFile(join(folder, name), "utf8"))),
  );
  return results
    .filter(({ suite }) => ORDER.includes(suite))
    .toSorted((a, b) => ORDER.indexOf(a.suite) - ORDER.indexOf(b.suite));
}

function parse(text: string): Result {
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
  const [heading] = lines;
  return {
    suite: heading?.suite ?? "",
    heading: heading as Result["heading"],
    claims: lines.filter((line): line is Line & Claim => line.ratio !== undefined),
  };
}

/** The section without its markers. */
export function section(results: readonly Result[]): string {
  return results
    .flatMap(({ heading: { title, date, command, machine }, claims }) => [
      `**${title}** (${date}, \`${command}\`, ${machine})`,
      "",
      ...claimTable(claims),
      "",
    ])
    .join("\n");
}

/** The text with the section between its markers replaced. */
export function withSection(readme: string, results: readonly Result[]): string {
  const [start, end] = [readme.indexOf(START), readme.indexOf(END)];
  if (start < 0 || end < start) throw new Error(`README.md has no ${START} … ${END}`);
  return `${readme.slice(0, start + START.length)}\n${section(results)}${readme.slice(end)}`;
}

export async function writeSummary(): Promise<void> {
  await writeFile(README, withSection(await readFile(README, "utf8"), await readResults()));
}
