/** Writes metrics in Prometheus' text format, version 0.0.4. */
import type { Metric, Sample } from "./metric.ts";

export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** All metrics that have a value, each under its help and type. */
export function exposition(metrics: readonly Metric[]): string {
  return metrics.map(linesOf).join("");
}

function linesOf(metric: Metric): string {
  const { name, help, type } = metric;
  const samples = metric.samples();
  if (samples.length === 0) return "";
  const lines = samples.map(
    (sample) => `${name}${sample.suffix}${labelsOf(sample)} ${sample.value}`,
  );
  return [`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${type}`, ...lines, ""].join("\n");
}

function labelsOf({ labels }: Sample): string {
  if (labels.length === 0) return "";
  const pairs = labels.map(([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`);
  return `{${pairs.join(",")}}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
