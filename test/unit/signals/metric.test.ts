import { expect, it } from "vitest";
import { exposition } from "../../../src/signals/exposition.ts";
import { Counter, countInto, Gauge, Histogram } from "../../../src/signals/metric.ts";

it("writes counters, with known labels before they count", () => {
  const counter = new Counter("a_total", "Help.", ["x", "y"], [["1", "2"]]);
  counter.add(2, "3", "4");
  counter.add(1, "3", "4");
  expect(exposition([counter])).toBe(
    '# HELP a_total Help.\n# TYPE a_total counter\na_total{x="1",y="2"} 0\na_total{x="3",y="4"} 3\n',
  );
});

it("writes one without labels from the start", () => {
  expect(exposition([new Counter("a_total", "Help.")])).toContain("\na_total 0\n");
});

it("escapes values of labels, and help", () => {
  const counter = new Counter("a_total", "One\ntwo \\ three", ["x"]);
  counter.add(1, 'a"b\\c\nd');
  expect(exposition([counter])).toBe(
    '# HELP a_total One\\ntwo \\\\ three\n# TYPE a_total counter\na_total{x="a\\"b\\\\c\\nd"} 1\n',
  );
});

it("leaves out a gauge of which nothing is known", () => {
  const gauge = new Gauge("a", "Help.", ["type"]);
  gauge.set(3, "mcp");
  expect(exposition([gauge])).toContain('a{type="mcp"} 3');
  gauge.clear();
  expect(exposition([gauge])).toBe("");
});

it("sorts durations into cumulative buckets", () => {
  const histogram = new Histogram("a_seconds", "Help.", [0.1, 1]);
  for (const seconds of [0.05, 0.1, 0.5, 7]) histogram.observe(seconds);
  expect(
    histogram.samples().map(({ suffix, labels, value }) => [suffix, ...labels.flat(), value]),
  ).toEqual([
    ["_bucket", "le", "0.1", 2],
    ["_bucket", "le", "1", 3],
    ["_bucket", "le", "+Inf", 4],
    ["_sum", 7.65],
    ["_count", 4],
  ]);
});

it("sends each count to a dataset of Analytics Engine, and nothing to another binding", () => {
  const points: unknown[] = [];
  const counter = new Counter("a_total", "Help.", ["x"]);
  // A service binding answers to every name.
  countInto({ fetch: () => undefined, writeDataPoint: () => points.push("wrong") });
  countInto(undefined);
  countInto("text");
  counter.add(1, "before");
  countInto({ writeDataPoint: (point: unknown) => points.push(point) });
  counter.add(2, "after");
  new Histogram("a_seconds", "Help.", [1]).observe(0.25);
  new Gauge("a", "Help.").change(1);
  expect(points).toEqual([
    { indexes: ["a_total"], blobs: ["a_total", "after"], doubles: [2] },
    { indexes: ["a_seconds"], blobs: ["a_seconds"], doubles: [0.25] },
  ]);
});

it("counts on where the dataset refuses a point", () => {
  const counter = new Counter("a_total", "Help.");
  countInto({
    writeDataPoint() {
      throw new Error("too many");
    },
  });
  counter.add(1);
  expect(counter.samples()[0]?.value).toBe(1);
});
