import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { claim, keepReport, whyNotKept, readResults } from "../../../bench/report.ts";

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "holdfast-report-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

it("keeps a report so that it can be quoted, with the command that made it", async () => {
  const [kept, command] = [folder(), "npm run bench -- floor --rounds 9 --keep"];
  const evidence = { what: "read, a second", other: "floor", ours: [3], theirs: [4] };
  const claims = [claim(evidence)];
  const rows = [{ job: "read", p50: 1 }];
  await keepReport({ suite: "floor", title: "Floor", command, claims, rows, notes: ["one"] }, kept);
  expect(readdirSync(kept)).toEqual(["floor.jsonl", "floor.md"]);
  expect(readFileSync(join(kept, "floor.md"), "utf8")).toContain(`\`${command}\``);
  const [result] = await readResults(kept);
  expect(result).toMatchObject({ suite: "floor", heading: { command }, claims });
});

it("is kept where that is wanted and nothing was missing", () => {
  const report = { suite: "nchan", title: "nchan", rows: [], notes: [] };
  const missing = "nchan is not installed (apt-get install nchan)";
  expect(whyNotKept(report, true)).toBe(undefined);
  expect(whyNotKept(report, false)).toContain("--keep");
  expect(whyNotKept({ ...report, missing }, true)).toBe(missing);
});
