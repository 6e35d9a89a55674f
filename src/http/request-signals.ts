/**
 * Counts each request by its route and status, logs a line for a refusal, and with `LOG_REQUESTS` a line for
 * each request. Neither the counts nor the lines hold a credential, an address, an id in full or a URL.
 */
import type { Context } from "hono";
import { redactSessionId, parseSessionId } from "../core/id.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { Logger } from "../logger.ts";
import { refused, REFUSING, requests } from "../signals/metrics.ts";
import { Repeats } from "../signals/repeats.ts";

/** Why a request was refused. docs/operations.md says what each means. */
export const REASONS = [
  "host",
  "origin",
  "cross_site",
  "auth_unset",
  "no_credential",
  "invalid_token",
  "invalid_ticket",
  "insufficient_scope",
  "rate_of_address",
  "rate_of_subject",
  "open_files",
  "disk_full",
  "not_ready",
  "upstream",
  "unknown",
] as const;

/** One of these words, or the code of the error. */
export type Reason = (typeof REASONS)[number] | ErrorCode;

declare module "hono" {
  interface ContextVariableMap {
    reason: Reason;
  }
}

const METHODS: ReadonlySet<string> = new Set("GET HEAD POST PUT PATCH DELETE OPTIONS".split(" "));

/** A route in metrics and lines, by its method and its pattern. */
export class RouteSignals {
  readonly name: string;
  readonly #byStatus = new Map<number, () => void>();

  constructor(name: string) {
    this.name = name;
  }

  count(status: number): void {
    let count = this.#byStatus.get(status);
    if (!count) {
      count = requests.counting(this.name, String(status));
      this.#byStatus.set(status, count);
    }
    count();
  }
}

const routes = new Map<string, RouteSignals>();

/** The signals of a route. A client may send any method, so one that HTTP does not usually have is `OTHER`. */
export function routeSignals(method: string, path: string): RouteSignals {
  const upper = method.toUpperCase();
  const name = `${METHODS.has(upper) ? upper : "OTHER"} ${path}`;
  const known = routes.get(name) ?? new RouteSignals(name);
  routes.set(name, known);
  return known;
}

/** The route of a request that no route serves. */
const NO_ROUTE = new RouteSignals("none");

/** A member of the context, since `c.set` makes a Map for each request: that took two thirds of what counting costs. */
const ROUTE = Symbol("route");
type Routed = Context & { [ROUTE]?: RouteSignals };

/** Says which route serves a request. */
export function servedBy(c: Context, route: RouteSignals): void {
  (c as Routed)[ROUTE] = route;
}

interface Refusal {
  readonly status: number;
  readonly reason: Reason;
  readonly route: string;
}

/** Statuses whose refusals get a line: a 503 is the service's own trouble, which has lines of its own. */
const LOGGED: ReadonlySet<number> = new Set([401, 403, 429]);

export class RequestSignals {
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #refusals: Repeats<Refusal>;
  /** Whether each request gets a line. */
  readonly logsRequests: boolean;

  constructor(log: Logger, logsRequests = false, now: () => number = Date.now) {
    this.#log = log;
    this.#now = now;
    this.logsRequests = logsRequests;
    this.#refusals = new Repeats((refusal, repeated) =>
      log.info("request.refused", { ...refusal, repeated }),
    );
  }

  /** Milliseconds since the epoch if requests get lines; else nobody asks. */
  begin(): number {
    return this.logsRequests ? this.#now() : 0;
  }

  /** The request has got its answer. */
  answered(c: Context, status: number, begun: number): void {
    const route = (c as Routed)[ROUTE] ?? NO_ROUTE;
    route.count(status);
    if (REFUSING.has(status)) this.#refused(c, status, route.name);
    else if (!this.#refusals.isEmpty) this.#refusals.settle(this.#now());
    if (!this.logsRequests) return;
    const id = parseSessionId(c.req.param("id") ?? "");
    this.#log.info("request", {
      route: route.name,
      status,
      ms: this.#now() - begun,
      session: id && redactSessionId(id),
    });
  }

  #refused(c: Context, status: number, route: string): void {
    const fallback = c.get("admittedToGateway") ? "upstream" : "unknown";
    const reason = c.get("reason") ?? fallback;
    refused.add(1, String(status), reason);
    if (!LOGGED.has(status)) return;
    this.#refusals.take(`${status} ${reason} ${route}`, { status, reason, route }, this.#now());
  }
}
