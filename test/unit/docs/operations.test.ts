/** docs/operations.md, the dashboard and the alerts against the code: every name is real, and every real name is explained. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ERROR_KINDS } from "../../../src/core/errors.ts";
import { FAILURES } from "../../../src/gateway/upstream/failure.ts";
import { REASONS } from "../../../src/http/request-signals.ts";
import { METRICS, REFUSING } from "../../../src/signals/metrics.ts";
import { SHAPES } from "../../support/log-shapes.ts";

const PROJECT = join(import.meta.dirname, "../../..");
const read = (path: string) => readFileSync(join(PROJECT, path), "utf8");
const page = read("docs/operations.md");
const alerts = read("monitoring/alerts.yml");
const dashboard = read("monitoring/dashboard.json");

/** The first cells of the rows of the tables below a heading; a cell may name several. */
function rowsBelow(heading: string): string[] {
  const [, text = ""] = page.split(`\n${heading}\n`);
  const [section = ""] = text.split(/^##/m);
  const rows = [...section.matchAll(/^\| (`[^|]+`) \|/gm)];
  return rows.flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name),
  );
}

/** Each series that a metric has, with its labels. */
const series: ReadonlyMap<string, readonly string[]> = new Map(
  METRICS.flatMap(({ name, type }): [string, readonly string[]][] => {
    const labels = labelsOf(name);
    if (type !== "histogram") return [[name, labels]];
    return [
      [`${name}_bucket`, [...labels, "le"]],
      [`${name}_sum`, labels],
      [`${name}_count`, labels],
    ];
  }),
);

/** The labels of a metric, as its row says. */
function labelsOf(metric: string): string[] {
  const row = new RegExp(`^\\| \`${metric}\` \\| ([^|]*) \\|`, "m").exec(page)?.[1] ?? "";
  return [...row.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name);
}

describe("docs/operations.md", () => {
  it("has a row for each metric, and no other", () => {
    expect(rowsBelow("## Metrics")).toEqual(METRICS.map(({ name }) => name));
  });

  it("has a row for each reason of a refusal", () => {
    const kinds = Object.entries(ERROR_KINDS);
    const codes = kinds.filter(([, { status }]) => REFUSING.has(status)).map(([code]) => code);
    // The guard names the reason of its own refusals.
    const ofHandlers = codes.filter((code) => code !== "unauthorized");
    expect(rowsBelow("### Reasons").toSorted()).toEqual([...REASONS, ...ofHandlers].toSorted());
  });

  it("has a row for each kind of an upstream's failure", () => {
    const kinds = [...Object.keys(FAILURES), "metadata"];
    expect(rowsBelow("### Kinds of an upstream's failure").toSorted()).toEqual(kinds.toSorted());
  });

  it("has a row for each log line", () => {
    expect(rowsBelow("## Log lines").toSorted()).toEqual(Object.keys(SHAPES).toSorted());
  });

  it("says what to do for each alert, and for no other", () => {
    const names = [...alerts.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
    expect([...page.matchAll(/^### (Holdfast\w+)$/gm)].map(([, name]) => name)).toEqual(names);
    expect(names.length).toBeGreaterThan(5);
  });
});

describe.each([
  ["the alerts", alerts, 10],
  ["the dashboard", dashboard, 14],
])("%s", (_what, text, least) => {
  /** Names of metrics, with what is in braces after them. */
  const used = [...text.matchAll(/\b(holdfast_\w+)(?:\{([^}]*)\})?/g)].filter(
    ([, name]) => name !== "holdfast_token",
  );

  it("names metrics that there are", () => {
    expect(used.length).toBeGreaterThanOrEqual(least);
    const unknown = used.filter(([, name = ""]) => !series.has(name)).map(([, name]) => name);
    expect(unknown).toEqual([]);
  });

  it("selects by labels that they have", () => {
    const wrong = used.flatMap(([, name = "", selector = ""]) =>
      [...selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)]
        .map(([, label = ""]) => label)
        .filter((label) => label !== "instance" && !series.get(name)?.includes(label))
        .map((label) => `${name} ${label}`),
    );
    expect(wrong).toEqual([]);
  });

  it("groups by labels that there are", () => {
    // Prometheus gives each series its job and its instance.
    const labels = new Set(["job", "instance", ...[...series.values()].flat()]);
    const grouped = [...text.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = ""]) =>
      list.split(",").map((label) => label.trim()),
    );
    expect(grouped.filter((label) => !labels.has(label))).toEqual([]);
  });
});

it("the dashboard shows every metric", () => {
  const shown = METRICS.filter(({ name }) => dashboard.includes(name));
  expect(METRICS.filter((metric) => !shown.includes(metric)).map(({ name }) => name)).toEqual([]);
});

it("each alert is explained in a line before it", () => {
  const lines = alerts.split("\n");
  const bare = lines.filter(
    (line, n) => line.includes("- alert:") && !lines[n - 1]?.trim().startsWith("# "),
  );
  expect(bare).toEqual([]);
});

it.each([
  ["the rules are valid", ["check", "rules", "monitoring/alerts.yml"]],
  [
    "they fire when they should, and not on a calm day",
    ["test", "rules", "test/fixtures/alert-cases.yml"],
  ],
])("%s", (_what, args) => {
  const { status, stdout, stderr } = spawnSync("promtool", args, {
    cwd: PROJECT,
    encoding: "utf8",
  });
  expect([status, status === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
});
