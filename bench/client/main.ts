/** The load client's process: runs one load after another, as `load-client.ts` asks. */
import type { Sample } from "../measure.ts";
import { runDelivery } from "./delivery.ts";
import { runRequests } from "./requests.ts";
import { runResumptions } from "./resume.ts";

const KINDS = { requests: runRequests, delivery: runDelivery, resumptions: runResumptions };
type Kind = keyof typeof KINDS;
export type Plan<K extends Kind> = Parameters<(typeof KINDS)[K]>[0];
export type Order = { [K in Kind]: { readonly kind: K; readonly plan: Plan<K> } }[Kind];
export type Outcome = { readonly sample: Sample } | { readonly failure: string };

process.on("disconnect", () => process.exit());
process.on("message", async ({ kind, plan }: Order) => {
  const run: (plan: never) => Promise<Sample> = KINDS[kind];
  const outcome: Outcome = await run(plan as never).then(
    (sample) => ({ sample }),
    (failure: unknown) => ({ failure: String(failure) }),
  );
  process.send?.(outcome);
});
