import type { Effort } from "../measure.ts";

/** What a suite of peers does unless told otherwise. */
export const PEERS_EFFORT: Effort = { rounds: 3, seconds: 0.8 };
