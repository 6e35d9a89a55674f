/** Runs Holdfast and others in turns. Rows say what each did; claims say how they compare. */
import {
  cpuSeconds,
  median,
  progress,
  type Contender,
  type Effort,
  type Sample,
} from "./measure.ts";
import type { Claim, Row } from "./report.ts";

/** The contender that a comparison is about, unless it names another. */
export const OURS = "holdfast";

/** The wanted ratio of Holdfast's figure to the other's. */
export type Target = readonly [relation: "≥" | "≤" | "<", bound: number];

interface Evidence extends Pick<Claim, "what" | "other"> {
  /** One figure a round, in the order of `theirs`. */
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  readonly target?: Target | undefined;
}

/** The ratio of the medians, with the least and the greatest ratio of one round. */
export function claim({ what, other, ours, theirs, target }: Evidence): Claim {
  const [holdfast, its] = [median(ours), median(theirs)];
  const ratio = holdfast / its;
  const ratios = ours.map((figure, round) => figure / (theirs[round] ?? NaN));
  return {
    what,
    holdfast,
    other,
    its,
    ratio,
    ...(ratios.length > 1 && { least: Math.min(...ratios), greatest: Math.max(...ratios) }),
    ...(target && { target: target.join(" "), met: meets(ratio, target) }),
  };
}

function meets(ratio: number, [relation, bound]: Target): boolean {
  if (relation === "≥") return ratio >= bound;
  return relation === "≤" ? ratio <= bound : ratio < bound;
}

export interface Round extends Sample {
  /** The server's CPU time in this round, divided by the count. */
  readonly cpuMicros: number;
}

type Measured = { readonly name: string; readonly rounds: readonly Round[] };

/** One figure of a round. */
export interface Measure {
  /** Its name and its unit. */
  readonly of: string;
  readonly figure: (round: Round, base: Round | undefined) => number;
  readonly target?: Target | undefined;
  /** Contenders with a base of their own, by name: others have that of the comparison. */
  readonly bases?: Readonly<Record<string, string>>;
}

export const rate = (target?: Target, of = "a second"): Measure => {
  return { of, figure: ({ perSecond }) => perSecond, target };
};
export const p50 = (target?: Target): Measure => {
  return { of: "p50, ms", figure: (round) => round.p50, target };
};
export const cpu: Measure = { of: "server CPU, µs each", figure: ({ cpuMicros }) => cpuMicros };
/** The difference from the base in the same round. Its median is not the difference of medians. */
export const addedP50 = (target?: Target): Measure => ({
  of: "added p50, ms",
  figure: added("p50"),
  target,
});
const added =
  (quantile: "p50" | "p99"): Measure["figure"] =>
  (round, base) =>
    round[quantile] - (base?.[quantile] ?? NaN);

interface Comparison {
  readonly job: string;
  /** The contender that the comparison is about, if not Holdfast as such. */
  readonly ours?: string;
  readonly measures: readonly Measure[];
  /** The contender that does the bare job. Differences are counted from it. */
  readonly base?: string;
  /** Further columns of a row. */
  readonly more?: (row: { readonly perSecond: number }) => Row;
}

export interface Compared {
  readonly rows: readonly Row[];
  readonly claims: readonly Claim[];
}

export async function compare(
  { job, ours: chosen = OURS, measures, base, more }: Comparison,
  contenders: readonly Contender[],
  effort: Effort,
): Promise<Compared> {
  process.stderr.write(`${job}\n`);
  const measured = await alternate(contenders, effort);
  const named = (wanted: string | undefined) => measured.find(({ name }) => name === wanted);
  const [ours, under] = [named(chosen), named(base)];
  const bases = new Set([
    base,
    ...measures.flatMap((measure) => Object.values(measure.bases ?? {})),
  ]);
  const others = measured.filter((one) => one !== ours && !bases.has(one.name));
  const figures = (of: Measured | undefined, { figure, bases = {} }: Omit<Measure, "of">) => {
    const from = named(bases[of?.name ?? ""]) ?? under;
    return (of?.rounds ?? []).map((round, n) => figure(round, from?.rounds[n]));
  };
  const rows = measured.map((one) => {
    const row = summary(one.rounds);
    return {
      job,
      server: one.name,
      ...row,
      ...(under && {
        "added p50": median(figures(one, { figure: added("p50") })),
        "added p99": median(figures(one, { figure: added("p99") })),
      }),
      ...more?.(row),
    };
  });
  const claims = others.flatMap((other) =>
    measures.map((measure) =>
      claim({
        what: [job, ...(chosen === OURS ? [] : [chosen]), measure.of].join(", "),
        other: other.name,
        ours: figures(ours, measure),
        theirs: figures(other, measure),
        target: measure.target,
      }),
    ),
  );
  return { rows, claims };
}

/** Runs the contenders in turns, A B A B, so that a slow phase of the machine slows all alike. */
async function alternate(contenders: readonly Contender[], { rounds, seconds }: Effort) {
  const measured = contenders.map(({ name }) => ({ name, rounds: [] as Round[] }));
  for (let round = 0; round <= rounds; round++) {
    for (const [n, { name, pid, run }] of contenders.entries()) {
      const before = await cpuSeconds(pid);
      const sample = await run(round === 0 ? seconds / 2 : seconds);
      if (sample.count === 0) throw new Error(`${name} did nothing: ${sample.errors} errors`);
      const cpuMicros = (((await cpuSeconds(pid)) - before) * 1e6) / sample.count;
      if (round > 0) measured[n]?.rounds.push({ ...sample, cpuMicros });
      progress(
        `${round === 0 ? "warm-up" : `round ${round}/${rounds}`}: ${name} ${sample.perSecond.toFixed(0)}/s, p50 ${sample.p50.toFixed(2)} ms`,
      );
    }
  }
  return measured;
}

/** Medians of rounds. `spread` is that of the throughput: (largest − smallest) ÷ median. */
function summary(rounds: readonly Round[]) {
  const of = (key: keyof Round) => rounds.map((round) => round[key]);
  const rates = of("perSecond");
  return {
    perSecond: median(rates),
    p50: median(of("p50")),
    p99: median(of("p99")),
    errors: of("errors").reduce((sum, errors) => sum + errors, 0),
    spread: (Math.max(...rates) - Math.min(...rates)) / median(rates),
    "server CPU µs each": Math.round(median(of("cpuMicros"))),
  };
}

/** Runs comparisons one after the other and joins their results. */
export async function compareAll(
  comparisons: readonly (() => Promise<Compared>)[],
): Promise<Compared> {
  const all: Compared[] = [];
  for (const next of comparisons) all.push(await next());
  return together(all);
}

export function together(all: readonly Compared[]): Compared {
  return { rows: all.flatMap(({ rows }) => rows), claims: all.flatMap(({ claims }) => claims) };
}
