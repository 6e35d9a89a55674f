/** The results of the attack and of the fuzzer: kept as JSON lines, and quoted from them in SECURITY.md. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { keep, readResults, tables, withBetween, type Report } from "../../bench/report.ts";
import { PROJECT } from "../../scripts/bundle.ts";

const FOLDER = join(import.meta.dirname, "results");
const PAGE = join(PROJECT, "SECURITY.md");
const START = "<!-- results: npm run attack writes what follows -->";
const END = "<!-- end of results -->";

/** Keeps a result in place of the last one of its suite, and quotes all that are kept. */
export async function keepAndQuote(report: Report): Promise<void> {
  await keep(report, FOLDER);
  await writeFile(PAGE, withSection(await readFile(PAGE, "utf8"), await section()));
}

export const withSection = (page: string, text: string) => withBetween(page, [START, END], text);

export async function section(): Promise<string> {
  const results = await readResults(FOLDER);
  return results.map((result) => tables(result, "###").join("\n")).join("\n");
}
