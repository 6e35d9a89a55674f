/** What a suite found: JSON lines for machines, Markdown for people, both from the same rows and claims. */
import { mkdir, writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { PROJECT } from "../scripts/bundle.ts";
import type { Claim } from "./claim.ts";
import { claimTable, table, type Row } from "./table.ts";

export type { Row } from "./table.ts";

export const RESULTS = join(PROJECT, "bench", "results");

export interface Report {
  readonly suite: string;
  readonly title: string;
  readonly notes: readonly string[];
  readonly rows: readonly Row[];
  /** How Holdfast compares, which the README quotes. */
  readonly claims?: readonly Claim[];
  /** What was to be compared and is not installed, and how it is. What is kept stands then. */
  readonly missing?: string;
  /** What reproduces it, where that is not `npm run bench -- SUITE`. */
  readonly command?: string;
  /** Lines for machines alone, after the rows: kept, not printed. */
  readonly more?: readonly object[];
}

/** The first line of what is kept. */
export interface Heading {
  readonly title: string;
  readonly command: string;
  readonly machine: string;
}

/** Why a report is printed only; undefined where it is kept. `wanted` is what was asked for. */
export function whyNotKept({ missing }: Report, wanted: boolean): string | undefined {
  if (missing !== undefined) return missing;
  return wanted ? undefined : "its effort is not the default one (--keep keeps it)";
}

export function printReport(report: Report): void {
  const { lines, markdown } = render(report);
  for (const each of lines) console.log(each);
  console.log(`\n${markdown}`);
}

/** As bench/results/SUITE.jsonl and .md. */
export async function keepReport(report: Report, folder = RESULTS): Promise<void> {
  const { lines, more, markdown } = render(report);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${report.suite}.jsonl`), `${[...lines, ...more].join("\n")}\n`);
  await writeFile(join(folder, `${report.suite}.md`), markdown);
}

function render({ suite, title, rows, notes, claims = [], more = [], ...report }: Report) {
  const date = new Date().toISOString().slice(0, 10);
  const machine = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? "unknown"}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`;
  const command = report.command ?? `npm run bench -- ${suite}`;
  const heading: Heading = { title, command, machine };
  const line = (row: object) => JSON.stringify({ suite, date, ...row });
  const markdown = [
    `## ${title}`,
    "",
    `${date}, \`${command}\`, ${machine}.`,
    "",
    ...(claims.length > 0 ? [...claimTable(claims), ""] : []),
    ...table(rows),
    "",
    ...notes.map((note) => `- ${note}`),
    "",
  ].join("\n");
  return { lines: [heading, ...claims, ...rows].map(line), more: more.map(line), markdown };
}
