/** The last result of each module, kept in a file of its own beside the reasons for mutants that no test can notice. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

const FOLDER = join(import.meta.dirname, "results");

/** The least share of the mutants that are not equivalent, which the tests of a module have to notice. */
export const LEAST = 0.85;

export interface Result {
  readonly mutants: number;
  /** The mutants that no test noticed, each with the reason why none can; empty: a test is missing. */
  readonly survivors: Readonly<Record<string, string>>;
}

interface Mutant {
  readonly status: string;
  readonly replacement?: string;
  readonly location: { readonly start: Position; readonly end: Position };
}
type Position = { readonly line: number; readonly column: number };

/** A file's part of the report, in the schema of mutation-testing-elements. Lines and columns count from 1. */
export interface FileReport {
  readonly source: string;
  readonly mutants: readonly Mutant[];
}

const fileOf = (module: string) => join(FOLDER, module.replace(/\.ts$/, ".json"));

export async function readResult(module: string): Promise<Result | undefined> {
  const text = await readFile(fileOf(module), "utf8").catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Result);
}

/** Keeps a module's result, with the reasons that were given before for what still survives. */
export async function keepResult(module: string, report: FileReport): Promise<void> {
  const before = (await readResult(module))?.survivors ?? {};
  const survivors: Record<string, string> = {};
  const tried = report.mutants
    .filter(({ status }) => status !== "Ignored")
    .toSorted((a, b) => compare(a.location.start, b.location.start));
  // Those that were noticed are counted too, so that none of them passes its reason on to the next one.
  const named = new Map<string, number>();
  for (const mutant of tried) {
    const name = nameOf(report.source, mutant);
    const nth = (named.get(name) ?? 0) + 1;
    named.set(name, nth);
    if (mutant.status !== "Survived" && mutant.status !== "NoCoverage") continue;
    const key = nth === 1 ? name : `${name} (${nth})`;
    survivors[key] = before[key] ?? "";
  }
  const result: Result = { mutants: tried.length, survivors };
  await mkdir(dirname(fileOf(module)), { recursive: true });
  await writeFile(fileOf(module), `${JSON.stringify(result, undefined, 2)}\n`);
}

const compare = (a: Position, b: Position): number => a.line - b.line || a.column - b.column;

/** Names a mutant by its line's text, not its number, so that a change elsewhere keeps the name. */
function nameOf(source: string, { replacement = "", location: { start, end } }: Mutant): string {
  const lines = source.split("\n");
  const line = lines[start.line - 1] ?? "";
  const original =
    start.line === end.line
      ? line.slice(start.column - 1, end.column - 1)
      : line.slice(start.column - 1);
  const short = (text: string) => text.replaceAll(/\s+/g, " ").trim().slice(0, 100);
  return `${short(line)} ⟶ ${short(original)} becomes ${short(replacement) || "nothing"}`;
}

/** The share that was noticed of a module's mutants, without the equivalent ones. */
export function shareOf({ mutants, survivors }: Result): number {
  const reasons = Object.values(survivors);
  const equivalent = reasons.filter((reason) => reason !== "").length;
  const counted = mutants - equivalent;
  return counted === 0 ? 1 : (mutants - reasons.length) / counted;
}

/** The table of all modules, and below it the survivors of those named. */
export async function tableOf(
  modules: readonly string[],
  listed: readonly string[],
): Promise<string> {
  const rows = [`${"module".padEnd(32)} mutants  noticed  equivalent  share`];
  const details: string[] = [];
  for (const module of modules) {
    const result = await readResult(module);
    if (!result) {
      rows.push(`${module.padEnd(32)}  not yet tried`);
      continue;
    }
    const reasons = Object.values(result.survivors);
    const equivalent = reasons.filter((reason) => reason !== "").length;
    const share = `${(shareOf(result) * 100).toFixed(1)} %`;
    const numbers = [result.mutants, result.mutants - reasons.length, equivalent, share];
    const [mutants, noticed, same, percent] = numbers.map(String);
    rows.push(
      `${module.padEnd(32)} ${mutants?.padStart(7)}  ${noticed?.padStart(7)}  ${same?.padStart(10)}  ${percent?.padStart(7)}`,
    );
    if (!listed.includes(module)) continue;
    for (const [mutant, reason] of Object.entries(result.survivors)) {
      details.push(`${module}: ${mutant}\n    ${reason || "NOT NOTICED"}`);
    }
  }
  return [...details, "", ...rows].join("\n");
}
