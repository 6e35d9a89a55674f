/** The exchanges of a session that are under way in its object, and those that wait for the client. */
import type { Logger } from "../../logger.ts";
import { refuse, succeed, type Outcome } from "../../core/errors.ts";
import { bodies, NO_ROOM, type Hold } from "../../http/held-bytes.ts";
import type { ExchangeRequest } from "../contract.ts";
import { messagesIn, requestMeant, type RequestId } from "../json-rpc.ts";
import type { EraBridge } from "./era-bridge.ts";
import { Exchange, type ExchangeParts } from "./exchange.ts";
import { ParkedCalls, type Again } from "./parked-calls.ts";
import { mayAnswer } from "./rounds.ts";
import type { ExchangeLimits } from "./streamed-answer.ts";
import type { UpstreamLink } from "./upstream-link.ts";

export interface ExchangesParts {
  readonly eras: EraBridge;
  readonly limits: ExchangeLimits;
  readonly log: Logger;
  /** Called when a message came for an exchange that streams. It counts as use of the session. */
  readonly used: () => void;
  /** Called when an exchange no longer holds the session open. */
  readonly released: () => void;
  /** The session's link to its upstream; undefined once the session has ended. */
  readonly link: () => UpstreamLink | undefined;
  /** The headers of the client's last request. */
  readonly headers: () => ExchangeRequest["headers"];
}

/** `client` takes the answer; with `left`, the exchange goes on where the object's memory was lost. */
export type How = Pick<ExchangeParts, "client" | "left">;

export class Exchanges {
  readonly #parts: ExchangesParts;
  readonly #running = new Set<Exchange>();

  constructor(parts: ExchangesParts) {
    this.#parts = parts;
  }

  /** Whether one holds the session open: its answer is still to begin, or it is a task's call. */
  get isWaiting(): boolean {
    return [...this.#running].some(holds);
  }

  /** How many are under way. */
  get open(): number {
    return this.#running.size;
  }

  /** Begins to carry one POST of the client. */
  begin(link: UpstreamLink, request: ExchangeRequest, how: How = {}): Outcome<Exchange> {
    const hold = bodies.hold();
    if (!hold.grow(request.body.length)) return refuse("unavailable", NO_ROOM);
    const isTaken = mayAnswer(request.body) && this.parked(link).take(messagesIn(request.body));
    return succeed(this.#carry(link, request, hold, { isTaken, ...how }));
  }

  /** The client has cancelled these requests. */
  cancel(link: UpstreamLink, ids: readonly RequestId[]): void {
    if (ids.length === 0) return;
    this.parked(link).cancel(ids);
    // A call of a batch that is sent again shares its answer with the rest of the batch.
    const open = [...new Set([...this.#running].flatMap(({ pending }) => pending))];
    for (const id of ids) {
      const meant = requestMeant(id, open, open);
      if (meant !== undefined) for (const one of this.#running) one.cancel(meant);
    }
  }

  /** The session has ended. Returns a function that answers each waiting request with an error. */
  abandon(): () => void {
    const abandoned = [...this.#running].map((exchange) => exchange.abandon());
    this.#running.clear();
    return () => {
      for (const answerWaiting of abandoned) answerWaiting();
    };
  }

  /** The calls that wait for the client. Nothing of them is in memory, so this is made for each look. */
  parked({ streams, upstream }: UpstreamLink): ParkedCalls {
    const { eras, log } = this.#parts;
    return new ParkedCalls({
      streams,
      capabilities: () => eras.capabilities,
      running: (exchange) => {
        for (const one of this.#running) {
          const answer = one.answerOf(exchange);
          if (answer) return answer;
        }
        return undefined;
      },
      begin: (again) => this.#sendAgain(again),
      onStray: () => log.warn("upstream.stray_response", { upstream: upstream.name }),
    });
  }

  #carry(
    link: UpstreamLink,
    request: ExchangeRequest,
    hold: Hold,
    more: How & { readonly isTaken?: boolean; readonly again?: Again },
  ): Exchange {
    const { eras, limits, log, used, released } = this.#parts;
    const bridge = { heard: (text: string) => eras.heard(text), parked: () => this.parked(link) };
    const parts = { link, limits, log, hold, used, released, bridge, ...more };
    const exchange = new Exchange(request, parts);
    this.#running.add(exchange);
    void exchange.ended.then(() => {
      const held = holds(exchange);
      this.#running.delete(exchange);
      (held ? released : used)();
    });
    return exchange;
  }

  #sendAgain(again: Again): void {
    const link = this.#parts.link();
    if (!link) return;
    const hold = bodies.hold();
    // The client has answered, so the call is not refused now, even where there is no room to count it.
    hold.grow(again.body.length);
    const request: ExchangeRequest = {
      match: { type: "mcp", upstream: link.upstream.name },
      body: again.body,
      batch: false,
      pending: [again.sentAs],
      cancels: [],
      initialize: false,
      headers: this.#parts.headers(),
      delivery: again.client.isLegacy ? "standalone" : "own",
    };
    this.#carry(link, request, hold, { again });
  }
}

/** Whether an exchange holds the session open. */
function holds({ isWaiting, taskMs }: Exchange): boolean {
  return isWaiting || taskMs !== undefined;
}
