/** The load client: a process of its own that does one load after another, as `load-client.ts` asks. */
import type { Sample } from "../measure.ts";
import { runDelivery, type DeliveryPlan } from "./delivery.ts";
import { runRequests, type RequestPlan } from "./requests.ts";
import { runResumptions, type ResumePlan } from "./resume.ts";

export type Order =
  | { readonly kind: "requests"; readonly plan: RequestPlan }
  | { readonly kind: "delivery"; readonly plan: DeliveryPlan }
  | { readonly kind: "resumptions"; readonly plan: ResumePlan };

export type Outcome = { readonly sample: Sample } | { readonly failure: string };

function run(order: Order): Promise<Sample> {
  switch (order.kind) {
    case "requests":
      return runRequests(order.plan);
    case "delivery":
      return runDelivery(order.plan);
    case "resumptions":
      return runResumptions(order.plan);
  }
}

// Whoever asked is gone.
process.on("disconnect", () => process.exit());
process.on("message", async (order: Order) => {
  const outcome: Outcome = await run(order).then(
    (sample) => ({ sample }),
    (failure: unknown) => ({ failure: String(failure) }),
  );
  process.send?.(outcome);
});
