/** What a suite claims: one figure of Holdfast's beside another's, and whether their ratio is what was wanted. */
import { median } from "./measure.ts";

/** What a ratio, Holdfast's figure over the other's, is to be. */
export type Target = readonly [relation: "≥" | "≤" | "<", bound: number];

export interface Claim {
  /** The job, and what was measured in which unit. */
  readonly what: string;
  readonly holdfast: number;
  readonly other: string;
  readonly its: number;
  /** Holdfast's ÷ its, each the median of rounds. */
  readonly ratio: number;
  /** The least and the greatest of the rounds' own ratios; absent where there was one round. */
  readonly least?: number;
  readonly greatest?: number;
  readonly target?: string;
  readonly met?: boolean;
}

export interface Evidence {
  readonly what: string;
  readonly other: string;
  /** A figure for each round, in the same order. */
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  readonly target?: Target | undefined;
}

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
