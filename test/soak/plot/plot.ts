/** `node plot.ts RESULT` draws RESULT.jsonl as RESULT.svg: throughput above, latency below, faults marked in both. */
import { readFile, writeFile } from "node:fs/promises";
import { init } from "echarts";
import type { FaultKind } from "../schedule.ts";
import type { Stretch, StruckFault } from "../timeline.ts";

const WIDTH = 1200;
const HEIGHT = 680;
/** What each fault is called, and the colour of its marks. */
const FAULTS: Readonly<Record<FaultKind, readonly [name: string, colour: string]>> = {
  kill: ["kill -9 of the service", "#d62728"],
  abort: ["object aborted", "#ff9f1c"],
  cut: ["connections cut", "#7b61a8"],
  silence: ["relay silent", "#8c564b"],
  redis: ["kill -9 of Redis", "#9aa0a6"],
};

type Line = Partial<Stretch & StruckFault>;

function series(name: string, stretches: readonly Stretch[], of: keyof Stretch, grid: number) {
  return {
    name,
    type: "line",
    showSymbol: false,
    xAxisIndex: grid,
    yAxisIndex: grid,
    data: stretches.map((stretch) => [stretch.at, stretch[of]]),
  };
}

/** A series without points, whose vertical lines are the faults of one kind. */
function marks(kind: FaultKind, faults: readonly StruckFault[], grid: number) {
  const [name, color] = FAULTS[kind];
  return {
    name,
    type: "line",
    xAxisIndex: grid,
    yAxisIndex: grid,
    data: [],
    itemStyle: { color },
    lineStyle: { color },
    markLine: {
      silent: true,
      symbol: "none",
      label: { show: false },
      // The rarer and harder a fault, the more it stands out.
      lineStyle: { color, type: "dashed", width: 1.5, opacity: kind === "kill" ? 0.9 : 0.4 },
      data: faults.filter((fault) => fault.kind === kind).map(({ at }) => ({ xAxis: at })),
    },
  };
}

function option(stretches: readonly Stretch[], faults: readonly StruckFault[]): object {
  const kinds = (Object.keys(FAULTS) as FaultKind[]).filter((kind) =>
    faults.some((fault) => fault.kind === kind),
  );
  const time = { type: "value", min: 0, max: stretches.at(-1)?.at ?? 1 };
  return {
    animation: false,
    backgroundColor: "#ffffff",
    color: ["#1f77b4", "#2ca02c", "#17becf", "#0b3954", "#e377c2"],
    title: { text: "Holdfast under load and faults", left: 16, top: 8 },
    legend: { top: 36, left: 16, right: 16 },
    grid: [
      { left: 70, right: 24, top: 100, height: 230 },
      { left: 70, right: 24, top: 390, height: 230 },
    ],
    xAxis: [
      { ...time, gridIndex: 0 },
      { ...time, gridIndex: 1, name: "seconds", nameLocation: "middle", nameGap: 28 },
    ],
    yAxis: [
      { type: "value", gridIndex: 0, name: "a second", min: 0 },
      { type: "log", gridIndex: 1, name: "publish to receipt, ms" },
    ],
    series: [
      series("published", stretches, "publishedPerSecond", 0),
      series("received", stretches, "deliveredPerSecond", 0),
      series("calls on sessions and Redis", stretches, "changesPerSecond", 0),
      series("p50", stretches, "p50", 1),
      series("p99", stretches, "p99", 1),
      ...kinds.flatMap((kind) => [marks(kind, faults, 0), marks(kind, faults, 1)]),
    ],
  };
}

const [result = ""] = process.argv.slice(2);
const lines = (await readFile(`${result}.jsonl`, "utf8"))
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line) as Line);
const isFault = (line: Line): line is StruckFault => line.kind !== undefined;
const isStretch = (line: Line): line is Stretch => line.publishedPerSecond !== undefined;
const chart = init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height: HEIGHT });
chart.setOption(option(lines.filter(isStretch), lines.filter(isFault)));
await writeFile(`${result}.svg`, `${chart.renderToSVGString()}\n`);
chart.dispose();
