/** The answer to a request of a client of the stateless revision, in the forms that need no `EraAnswer`. */
import { succeed } from "../../core/errors.ts";
import type { ExchangeAnswer } from "../contract.ts";
import type { Exchange } from "./exchange.ts";

export type Carried = Pick<Exchange, "answer" | "ended">;

/** An answer that needs no upstream. */
export function answeredAtOnce(answer: ExchangeAnswer): Carried {
  return { answer: Promise.resolve(succeed(answer)), ended: Promise.resolve() };
}

/** The request is to be carried in another slot. */
export function busy(server?: string): Carried {
  return answeredAtOnce({ kind: "busy", ...(server !== undefined && { server }) });
}

/** Carries what `begun` brings. */
export function once(begun: Promise<Carried>): Carried {
  return {
    answer: begun.then(({ answer }) => answer),
    ended: begun.then(({ ended }) => ended),
  };
}
