/** What a suite found: JSON lines for machines, Markdown for people, both from the same rows and claims. */
import { mkdir, writeFile, readdir, readFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { PROJECT } from "../scripts/bundle.ts";
import { median } from "./measure.ts";

/** What a suite claims: one figure of Holdfast's beside another's, and whether their ratio is what was wanted. */
/** What a ratio, Holdfast's figure over the other's, is to be. */
export type Target = readonly [relation: "≥" | "≤" | "<", bound: number];

export interface Claim {
  /** The job, and what was measured in which unit. */
  readonly what: string;
  readonly holdfast: number;
  readonly other: string;
  readonly its: number;
  /** Holdfast's ÷ its, each the median of rounds. */
  readonly ratio: number;
  /** The least and the greatest of the rounds' own ratios; absent where there was one round. */
  readonly least?: number;
  readonly greatest?: number;
  readonly target?: string;
  readonly met?: boolean;
}

export interface Evidence {
  readonly what: string;
  readonly other: string;
  /** A figure for each round, in the same order. */
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  readonly target?: Target | undefined;
}

export function claim({ what, other, ours, theirs, target }: Evidence): Claim {
  const [holdfast, its] = [median(ours), median(theirs)];
  const ratio = holdfast / its;
  const ratios = ours.map((figure, round) => figure / (theirs[round] ?? NaN));
  return {
    what,
    holdfast,
    other,
    its,
    ratio,
    ...(ratios.length > 1 && { least: Math.min(...ratios), greatest: Math.max(...ratios) }),
    ...(target && { target: target.join(" "), met: meets(ratio, target) }),
  };
}

function meets(ratio: number, [relation, bound]: Target): boolean {
  if (relation === "≥") return ratio >= bound;
  return relation === "≤" ? ratio <= bound : ratio < bound;
}

/** Rows and claims as tables of Markdown. */
/** One line of a suite's result. Numbers are rounded for the table only. */
export type Row = Readonly<Record<string, string | number | boolean>>;

export function table(rows: readonly Row[]): string[] {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cell = (value: Row[string] | undefined) => {
    if (value === undefined) return "";
    return typeof value === "number" ? figure(value) : String(value);
  };
  return [
    `| ${columns.join(" | ")} |`,
    `|${columns.map(() => "---").join("|")}|`,
    ...rows.map((row) => `| ${columns.map((column) => cell(row[column])).join(" | ")} |`),
  ];
}

/** Ratios are Holdfast's figure over the other's; in brackets the least and the greatest of a round. */
export function claimTable(claims: readonly Claim[]): string[] {
  return table(
    claims.map(({ what, holdfast, other, its, ratio, least, greatest, target, met }) => ({
      "": what,
      Holdfast: holdfast,
      "the other": `${other}: ${figure(its)}`,
      ratio: range(ratio, least, greatest),
      target: target === undefined ? "" : `${target}, ${met ? "met" : "missed"}`,
    })),
  );
}

function range(ratio: number, least: number | undefined, greatest: number | undefined): string {
  if (least === undefined || greatest === undefined) return figure(ratio);
  return `${figure(ratio)} (${figure(least)} to ${figure(greatest)})`;
}

function figure(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}

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

/**
 * The README's performance section, written from the results that are kept, so that
 * no number in it was typed. `npm run bench` does it for each result that it keeps; `npm run bench -- --quote` does it alone.
 */
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
