import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { claim } from "../../../bench/comparison.ts";
import {
  claimTable,
  figures,
  keep,
  readResults,
  section,
  tables,
  whyNotKept,
  withSection,
} from "../../../bench/report.ts";
import { PROJECT } from "../../../scripts/bundle.ts";

const evidence = { what: "read, a second", other: "floor", ours: [90, 100, 80] };
const theirs = [100, 100, 100];

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "holdfast-report-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

it("keeps a report once, as lines from which its tables are printed", async () => {
  const [kept, command] = [folder(), "npm run bench -- floor --rounds 9 --keep"];
  const claims = [claim({ ...evidence, theirs })];
  const rows = [
    { job: "read", server: "floor", p50: 1.234 },
    { job: "read", server: "holdfast", "resident MiB": 2000 },
  ];
  const [more, notes] = [[{ at: 3, kind: "kill" }], ["one", "two"]];
  await keep({ suite: "floor", title: "Floor", command, claims, rows, notes, more }, kept);
  expect(readdirSync(kept)).toEqual(["floor.jsonl"]);
  const [result] = await readResults(kept);
  expect(result).toMatchObject({ suite: "floor", command, claims, rows, notes, more });
  const text = tables(result!).join("\n");
  expect(text).toContain(`\`${command}\``);
  expect(text).toContain("| job | server | p50 | resident MiB |");
  expect(text).toContain("| read | floor | 1.23 |  |");
  expect(text).toContain("| read | holdfast |  | 2,000 |");
  expect(text).toContain("- one\n- two\n");
  expect(text).not.toContain("kill");
});

it("keeps a number that could not be read as no number", async () => {
  const kept = folder();
  const rows = [{ job: "read", "server CPU µs each": NaN }];
  await keep({ suite: "floor", title: "Floor", rows, notes: [] }, kept);
  const [result] = await readResults(kept);
  expect(tables(result!)).toContain("| read |  |");
});

it("is kept where that is wanted and nothing was missing", () => {
  const report = { suite: "nchan", title: "nchan", rows: [], notes: [] };
  const missing = "nchan is not installed (apt-get install nchan)";
  expect(whyNotKept(report, true)).toBe(undefined);
  expect(whyNotKept(report, false)).toContain("--keep");
  expect(whyNotKept({ ...report, missing }, true)).toBe(missing);
});

it("shows a claim as a line of a table", () => {
  const [, , line] = claimTable([claim({ ...evidence, theirs, target: ["≥", 0.95] })]);
  expect(line).toBe("| read, a second | 90 | floor: 100 | 0.900 (0.800 to 1) | ≥ 0.95, missed |");
});

it("agrees with README, which quotes six figures and their days", async () => {
  const page = readFileSync(join(PROJECT, "README.md"), "utf8");
  const quoted = figures(await readResults());
  expect(quoted.match(/ \| 20\d\d-\d\d-\d\d \|$/gm)).toHaveLength(6);
  expect(page).toContain(quoted);
});

it("refuses to quote a figure that no result has", async () => {
  const results = await readResults();
  const without = results.filter(({ suite }) => suite !== "nchan");
  expect(() => figures(without)).toThrow(
    'nchan has no figure "publish to 100 subscribers, events a second"',
  );
});

it("agrees with docs/performance.md, which quotes all results that are kept and only those", async () => {
  const results = await readResults();
  const page = readFileSync(join(PROJECT, "docs", "performance.md"), "utf8");
  for (const { title } of results) expect(section(results)).toContain(`### ${title}`);
  expect(withSection(page, results)).toBe(page);
});
