/** The peer's Worker with its objects in the wrapper that counts Holdfast's, too. */
import { counting, takeCounts } from "../../../counting/objects.ts";
import agent, { DemoAgent as Real } from "../worker.js";

export const DemoAgent = counting(Real, "sessions");

export default {
  fetch: (request, env, ctx) =>
    new URL(request.url).pathname === "/counts" ? takeCounts() : agent.fetch(request, env, ctx),
};
