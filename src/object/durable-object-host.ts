/** The session host of the Worker: each session is a Durable Object, found by its id. */
import type { Caller } from "../session/caller.ts";
import { errorFromCode, UnavailableError, type ErrorCode } from "../session/errors.ts";
import type {
  IfMatch,
  NewEvent,
  SessionContent,
  SessionHost,
  SessionPatch,
  Sessions,
  StreamStart,
} from "../session/host.ts";
import type { SessionId } from "../session/id.ts";
import { unwrap } from "../session/outcome.ts";
import { evened } from "./even-refusals.ts";
import type { Attachment, SessionObject } from "./session-object.ts";

/** The object's methods as a caller over RPC sees them: each answers a promise. */
type Remote<T> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never;
};

type SessionStub = Remote<
  Pick<SessionObject, "create" | "read" | "upsert" | "patch" | "remove" | "publish" | "disconnect">
> &
  Fetcher;

/** Further tries of a call that may be repeated, when the platform says that the failure is passing. */
const RETRIES = 2;
/** Milliseconds before the first retry; doubled each time, with as much again at random. */
const RETRY_DELAY_MS = 50;

/** What the object refuses an attachment with, by status. */
const REFUSALS: Readonly<Record<number, ErrorCode>> = {
  404: "session_not_found",
  429: "too_many_writers",
};

export class DurableObjectHost implements SessionHost {
  readonly #sessions: DurableObjectNamespace<SessionObject>;

  constructor(sessions: DurableObjectNamespace<SessionObject>) {
    this.#sessions = sessions;
  }

  as(caller: Caller): Sessions {
    const sessions = new DurableObjectSessions(this.#sessions, caller);
    // An admin may know which ids exist.
    return caller.admin ? sessions : evened(sessions);
  }
}

/** Each call carries its caller, and the object itself decides. */
class DurableObjectSessions implements Sessions {
  readonly #sessions: DurableObjectNamespace<SessionObject>;
  readonly #caller: Caller;

  constructor(sessions: DurableObjectNamespace<SessionObject>, caller: Caller) {
    this.#sessions = sessions;
    this.#caller = caller;
  }

  // Not repeated: a create or a publish that failed half way may have happened.
  async create(id: SessionId, content: SessionContent) {
    return unwrap(await once(() => this.#stub(id).create(this.#caller, id, content)));
  }

  async publish(id: SessionId, events: readonly NewEvent[]) {
    return unwrap(await once(() => this.#stub(id).publish(this.#caller, events)));
  }

  async patch(id: SessionId, patch: SessionPatch, ifMatch?: IfMatch) {
    return unwrap(await once(() => this.#stub(id).patch(this.#caller, patch, ifMatch)));
  }

  async upsert(id: SessionId, content: SessionContent, ifMatch?: IfMatch) {
    return unwrap(await once(() => this.#stub(id).upsert(this.#caller, id, content, ifMatch)));
  }

  async read(id: SessionId, touch: boolean) {
    return unwrap(await repeatable(() => this.#stub(id).read(this.#caller, touch)));
  }

  async delete(id: SessionId) {
    return unwrap(await repeatable(() => this.#stub(id).remove(this.#caller)));
  }

  async disconnect(id: SessionId) {
    unwrap(await repeatable(() => this.#stub(id).disconnect(this.#caller)));
  }

  async subscribe(id: SessionId, start: StreamStart) {
    const attachment: Attachment = { caller: this.#caller, start };
    const url = `https://session.invalid/?attach=${encodeURIComponent(JSON.stringify(attachment))}`;
    const response = await repeatable(() =>
      this.#stub(id).fetch(url, { headers: { upgrade: "websocket" } }),
    );
    const refusal = REFUSALS[response.status];
    if (refusal) throw errorFromCode(refusal);
    if (!response.webSocket) throw new UnavailableError();
    return response.webSocket;
  }

  // A stub that has failed may stay broken, so each try gets a new one.
  #stub(id: SessionId): SessionStub {
    // The platform's own stub type distributes over the union in Outcome and loses its value.
    return this.#sessions.get(this.#sessions.idFromName(id)) as unknown as SessionStub;
  }
}

async function once<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (failure) {
    throw new UnavailableError(undefined, { cause: failure });
  }
}

async function repeatable<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await call();
    } catch (failure) {
      if (attempt >= RETRIES || !isPassing(failure)) {
        throw new UnavailableError(undefined, { cause: failure });
      }
      const delay = RETRY_DELAY_MS * 2 ** attempt * (1 + Math.random());
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }
}

/** The platform marks failures that a new try may pass; an overloaded object must not be tried again. */
function isPassing(failure: unknown): boolean {
  const { retryable, overloaded } = failure as { retryable?: boolean; overloaded?: boolean };
  return retryable === true && overloaded !== true;
}
