/**
 * The kinds of metrics, as Prometheus knows them. Their values live in the memory of this process: the
 * Worker and its objects share it under `npm run serve`. On Cloudflare each isolate has its own, so there
 * every count also goes to a dataset of Analytics Engine.
 */

/** The part of a binding of Analytics Engine that the service uses. */
export interface Dataset {
  writeDataPoint(point: {
    readonly indexes: string[];
    readonly blobs: string[];
    readonly doubles: number[];
  }): void;
}

/** One value of a metric. `suffix` follows the metric's name, such as `_bucket`. */
export interface Sample {
  readonly suffix: string;
  /** Names and values, in order. */
  readonly labels: readonly (readonly [name: string, value: string])[];
  readonly value: number;
}

export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** Empty while there is nothing to say. */
  samples(): readonly Sample[];
}

let dataset: Dataset | undefined;

/** Sends every count from now on to `binding` too, if it is a dataset; anything else of that name is left alone. */
export function countInto(binding: unknown): void {
  const found = (binding ?? {}) as Partial<Dataset> & { readonly fetch?: unknown };
  // A service binding seems to have every method.
  if (typeof found.fetch === "function" || typeof found.writeDataPoint !== "function") return;
  dataset = binding as Dataset;
}

/** Writes a data point: the index is the metric's name, the blobs are the name and the labels' values, the double is the count. */
function write(name: string, values: readonly string[], count: number): void {
  try {
    dataset?.writeDataPoint({ indexes: [name], blobs: [name, ...values], doubles: [count] });
  } catch {
    // A count that is lost must not fail what was counted.
  }
}

/** The values of a metric by those of its labels. Every label has few values: no id, subject or URL is one. */
class Series {
  readonly #names: readonly string[];
  readonly #values = new Map<string, { readonly labels: readonly string[]; value: number }>();

  constructor(names: readonly string[]) {
    this.#names = names;
    if (names.length === 0) this.at([]).value = 0;
  }

  at(labels: readonly string[]): { value: number } {
    const key = labels.length === 1 ? labels[0]! : labels.join("\n");
    let one = this.#values.get(key);
    if (!one) this.#values.set(key, (one = { labels, value: 0 }));
    return one;
  }

  clear(): void {
    this.#values.clear();
  }

  samples(): readonly Sample[] {
    return [...this.#values.values()].map(({ labels, value }) => ({
      suffix: "",
      labels: this.#names.map((name, n) => [name, labels[n] ?? ""] as const),
      value,
    }));
  }
}

/** Counts what happens. It never falls but by a restart. */
export class Counter implements Metric {
  readonly type = "counter";
  readonly name: string;
  readonly help: string;
  readonly #series: Series;

  /** `known`: values of the labels to show before they count, so that the first increase is seen. */
  constructor(
    name: string,
    help: string,
    labels: readonly string[] = [],
    known: readonly (readonly string[])[] = [],
  ) {
    this.name = name;
    this.help = help;
    this.#series = new Series(labels);
    for (const values of known) this.#series.at(values);
  }

  /** `values` are those of the labels, in their order. */
  add(count: number, ...values: readonly string[]): void {
    this.#series.at(values).value += count;
    if (dataset) write(this.name, values, count);
  }

  /** A function that counts one more of these values: for those who count often, since it looks nothing up. */
  counting(...values: readonly string[]): () => void {
    const one = this.#series.at(values);
    return () => {
      one.value++;
      if (dataset) write(this.name, values, 1);
    };
  }

  samples(): readonly Sample[] {
    return this.#series.samples();
  }
}

/** Says how much there is of something now. It has no data points: a sum of them means nothing. */
export class Gauge implements Metric {
  readonly type = "gauge";
  readonly name: string;
  readonly help: string;
  readonly #series: Series;

  constructor(name: string, help: string, labels: readonly string[] = []) {
    this.name = name;
    this.help = help;
    this.#series = new Series(labels);
  }

  change(by: number): void {
    this.#series.at([]).value += by;
  }

  set(value: number, ...values: readonly string[]): void {
    this.#series.at(values).value = value;
  }

  /** Nothing is known: the metric is left out until it is set again. */
  clear(): void {
    this.#series.clear();
  }

  samples(): readonly Sample[] {
    return this.#series.samples();
  }
}

/** Counts durations by size, in seconds. */
export class Histogram implements Metric {
  readonly type = "histogram";
  readonly name: string;
  readonly help: string;
  readonly #bounds: readonly number[];
  /** How many were as long as a bound and longer than the one before; the last: longer than all. */
  readonly #counts: number[];
  #sum = 0;

  /** `bounds` in seconds, ascending. */
  constructor(name: string, help: string, bounds: readonly number[]) {
    this.name = name;
    this.help = help;
    this.#bounds = bounds;
    this.#counts = [...bounds, Infinity].map(() => 0);
  }

  observe(seconds: number): void {
    const found = this.#bounds.findIndex((bound) => seconds <= bound);
    this.#counts[found < 0 ? this.#bounds.length : found]! += 1;
    this.#sum += seconds;
    if (dataset) write(this.name, [], seconds);
  }

  samples(): readonly Sample[] {
    let total = 0;
    const buckets = this.#counts.map((count, n) => {
      total += count;
      const le = n < this.#bounds.length ? String(this.#bounds[n]) : "+Inf";
      return { suffix: "_bucket", labels: [["le", le] as const], value: total };
    });
    return [
      ...buckets,
      { suffix: "_sum", labels: [], value: this.#sum },
      { suffix: "_count", labels: [], value: total },
    ];
  }
}
