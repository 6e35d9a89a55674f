import { requestMeant, withId, type RequestId, type WrittenMessage } from "../json-rpc.ts";

/** Keeps account of the requests of one POST: which of them the upstream has answered, and which answers the client has. */
export class PendingRequests {
  readonly #asked: readonly RequestId[];
  readonly #unanswered: Set<RequestId>;
  /** Answers that the client has not got yet, by the id of their request: a batch may have several. */
  readonly #held = new Map<RequestId, string>();
  /** Requests that the upstream answers only when the client has answered its questions. */
  readonly #parked: Set<RequestId>;

  constructor(
    asked: readonly RequestId[],
    pending: readonly RequestId[] = asked,
    parked: readonly RequestId[] = [],
  ) {
    this.#asked = asked;
    this.#unanswered = new Set(pending);
    this.#parked = new Set(parked);
  }

  /** Requests that the client has no answer to. */
  get ids(): RequestId[] {
    return [...this.#unanswered];
  }

  /** Requests that the upstream has to answer. */
  get open(): RequestId[] {
    return this.ids.filter((id) => !this.#held.has(id) && !this.#parked.has(id));
  }

  /** The upstream waits for the client before it answers this request. */
  park(id: RequestId): void {
    this.#parked.add(id);
  }

  unpark(id: RequestId): void {
    this.#parked.delete(id);
  }

  get isEmpty(): boolean {
    return this.#unanswered.size === 0;
  }

  has(id: RequestId): boolean {
    return this.#unanswered.has(id);
  }

  /** The request that a response answers, and the response under the id that the client gave it. */
  answeredBy({ message, text }: WrittenMessage): { id: RequestId; text: string } | undefined {
    if (message.kind !== "response" || !message.id) return undefined;
    const id = requestMeant(message.id, this.#asked, this.open);
    return id === undefined ? undefined : { id, text: id === message.id ? text : withId(text, id) };
  }

  /** Whether answers are kept that the client has not got yet. */
  get hasHeld(): boolean {
    return this.#held.size > 0;
  }

  /** Keeps an answer. Returns all that are kept if no other is missing. */
  hold(id: RequestId, text: string): readonly string[] | undefined {
    this.#held.set(id, text);
    return this.#held.size === this.#unanswered.size ? [...this.#held.values()] : undefined;
  }

  /** Stops keeping answers, and returns those that were kept. */
  release(): readonly (readonly [RequestId, string])[] {
    const held = [...this.#held];
    this.#held.clear();
    return held;
  }

  /** Counts a request as answered to the client. */
  answered(id: RequestId): void {
    this.#unanswered.delete(id);
  }

  clear(): void {
    this.#unanswered.clear();
  }
}
