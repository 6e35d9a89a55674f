/** Runs Holdfast and others in turn, and makes rows of what they did and claims of how they compare. */
import {
  alternate,
  median,
  summarise,
  type Contender,
  type Effort,
  type Measured,
  type Round,
  type Summary,
} from "./measure.ts";
import type { Claim, Row } from "./report.ts";

/** The contender that the others are compared with, if nothing else is said. */
export const OURS = "holdfast";

/** What a ratio, Holdfast's figure over the other's, is to be. */
export type Target = readonly [relation: "≥" | "≤" | "<", bound: number];

export interface Evidence {
  readonly what: string;
  readonly other: string;
  /** A figure for each round, in the same order. */
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  readonly target?: Target | undefined;
}

/** The ratio of the medians, between the least and the greatest ratio of one round. */
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

/** A figure of a round that is compared. */
export interface Measure {
  /** What it is, with its unit. */
  readonly of: string;
  readonly figure: (round: Round, base: Round | undefined) => number;
  readonly target?: Target | undefined;
}

export const rate = (target?: Target, of = "a second"): Measure => ({
  of,
  figure: ({ perSecond }) => perSecond,
  target,
});
export const p50 = (target?: Target): Measure => ({
  of: "p50, ms",
  figure: (round) => round.p50,
  target,
});
export const cpu: Measure = { of: "server CPU, µs each", figure: ({ cpuMicros }) => cpuMicros };
/** What a contender adds to the base. */
export const addedP50 = (target?: Target): Measure => ({
  of: "added p50, ms",
  figure: (round, base) => added("p50", round, base),
  target,
});

/** In one round, with the base's of the same: what a contender adds is the median of these differences, never the difference of medians. */
function added(quantile: "p50" | "p99", round: Round, base: Round | undefined): number {
  return round[quantile] - (base?.[quantile] ?? NaN);
}

export interface Comparison {
  readonly job: string;
  /** The contender that the others are compared with, where it is not Holdfast as such. */
  readonly ours?: string;
  readonly measures: readonly Measure[];
  /** The contender that does the job without what the others add to it. */
  readonly base?: string;
  /** Columns of one contender's own. */
  readonly more?: (summary: Summary) => Row;
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
  const [ours, under] = [chosen, base].map((name) => measured.find((one) => one.name === name));
  const others = measured.filter((one) => one !== ours && one !== under);
  const figures = (of: Measured | undefined, figure: Measure["figure"]) =>
    (of?.rounds ?? []).map((round, n) => figure(round, under?.rounds[n]));
  const rows = measured.map((one) => {
    const { cpuMicros, ...summary } = summarise(one);
    return {
      job,
      server: one.name,
      ...summary,
      "server CPU µs each": Math.round(cpuMicros),
      ...(under && {
        "added p50": median(figures(one, (round, base) => added("p50", round, base))),
        "added p99": median(figures(one, (round, base) => added("p99", round, base))),
      }),
      ...more?.({ ...summary, cpuMicros }),
    };
  });
  const claims = others.flatMap((other) =>
    measures.map((measure) =>
      claim({
        what: [job, ...(chosen === OURS ? [] : [chosen]), measure.of].join(", "),
        other: other.name,
        ours: figures(ours, measure.figure),
        theirs: figures(other, measure.figure),
        target: measure.target,
      }),
    ),
  );
  return { rows, claims };
}

/** Several comparisons, one after the other, as one. */
export async function compareAll(
  comparisons: readonly (() => Promise<Compared>)[],
): Promise<Compared> {
  const rows: Row[] = [];
  const claims: Claim[] = [];
  for (const next of comparisons) {
    const compared = await next();
    rows.push(...compared.rows);
    claims.push(...compared.claims);
  }
  return { rows, claims };
}
