/** Reads Prometheus' text, and makes rates of what its counters were. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LINE = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/i;
const LABEL = /([a-z_]\w*)="((?:[^"\\]|\\.)*)"/gi;

/** The samples of a scrape, in its order. */
export function samplesIn(text: string): readonly Sample[] {
  return text.split("\n").flatMap((line) => {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    if (name === undefined || line.startsWith("#")) return [];
    const pairs = [...labels.matchAll(LABEL)].map(([, key = "", text = ""]) => [
      key,
      text.replace(/\\(.)/g, (_all, one: string) => (one === "n" ? "\n" : one)),
    ]);
    const sample: Sample = {
      name,
      labels: Object.fromEntries(pairs) as Record<string, string>,
      value: Number(value),
    };
    return [sample];
  });
}

/** The sum of a metric's samples; 0 where there is none. */
export function total(samples: readonly Sample[], name: string): number {
  return samples.reduce((sum, one) => (one.name === name ? sum + one.value : sum), 0);
}

export interface Scrape {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly samples: readonly Sample[];
}

/**
 * Events a second between each two scrapes that follow each other. A counter that has become smaller
 * began anew with the process.
 */
export function ratesOf(scrapes: readonly Scrape[], name: string): readonly number[] {
  return scrapes.slice(1).map(({ at, samples }, index) => {
    const before = scrapes[index];
    if (!before) return 0;
    const [was, is] = [total(before.samples, name), total(samples, name)];
    return ((is < was ? is : is - was) * 1000) / Math.max(1, at - before.at);
  });
}
