/** What a suite found: JSON lines for machines, a Markdown table for people, both from the same rows. */
import { mkdir, writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { PROJECT } from "../scripts/bundle.ts";

/** One line of a suite's result. Numbers are rounded for the table only. */
export type Row = Readonly<Record<string, string | number | boolean>>;

export interface Report {
  readonly suite: string;
  readonly title: string;
  readonly notes: readonly string[];
  readonly rows: readonly Row[];
  /** What reproduces it, where that is not `npm run bench -- SUITE`. */
  readonly command?: string;
  /** Lines for machines alone, after the rows: kept, not printed. */
  readonly more?: readonly object[];
}

/** Prints a report, and keeps it as bench/results/SUITE.jsonl and .md. */
export async function publishReport(report: Report): Promise<void> {
  const folder = join(PROJECT, "bench", "results");
  await mkdir(folder, { recursive: true });
  const date = new Date().toISOString().slice(0, 10);
  const machine = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? "unknown"}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`;
  const line = (row: object) => JSON.stringify({ suite: report.suite, date, ...row });
  const lines = report.rows.map(line);
  const command = report.command ?? `npm run bench -- ${report.suite}`;
  const markdown = [
    `## ${report.title}`,
    "",
    `${date}, \`${command}\`, ${machine}.`,
    "",
    ...table(report.rows),
    "",
    ...report.notes.map((note) => `- ${note}`),
    "",
  ].join("\n");
  const kept = [...lines, ...(report.more ?? []).map(line)];
  await writeFile(join(folder, `${report.suite}.jsonl`), `${kept.join("\n")}\n`);
  await writeFile(join(folder, `${report.suite}.md`), markdown);
  for (const line of lines) console.log(line);
  console.log(`\n${markdown}`);
}

function table(rows: readonly Row[]): string[] {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cell = (value: Row[string] | undefined) => {
    if (value === undefined) return "";
    if (typeof value !== "number") return String(value);
    if (Number.isInteger(value)) return String(value);
    return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
  };
  return [
    `| ${columns.join(" | ")} |`,
    `|${columns.map(() => "---").join("|")}|`,
    ...rows.map((row) => `| ${columns.map((column) => cell(row[column])).join(" | ")} |`),
  ];
}
