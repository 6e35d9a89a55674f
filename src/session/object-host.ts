/** The session host of the Worker: each session is a Durable Object, found by its id. */
import type { Caller } from "../core/caller.ts";
import { unpackDocument, type Form } from "../core/document.ts";
import {
  errorFromCode,
  SessionError,
  UnavailableError,
  unwrap,
  type ErrorCode,
  type Outcome,
} from "../core/errors.ts";
import type {
  IfMatch,
  ListQuery,
  NewEvent,
  SessionContent,
  SessionDocument,
  SessionFilter,
  SessionPatch,
  Sessions,
  SessionView,
  StreamStart,
} from "../core/host.ts";
import type { SessionId } from "../core/id.ts";
import { Admission } from "../directory/admission.ts";
import type { DirectoryClient } from "../directory/client.ts";
import type {
  ExchangeRequest,
  GatewayHost,
  GatewaySessions,
  GatewayStart,
  InitializeRequest,
} from "../gateway/contract.ts";
import { RefusalTime, withEvenRefusals } from "./refusal-timing.ts";
import type { Attachment, SessionObject, Shown } from "./session-object.ts";

/** The object's methods as a caller over RPC sees them: each answers a promise. */
type Remote<T> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never;
};

type SessionStub = Remote<Omit<SessionObject, keyof Fetcher>> & Fetcher;

/** Further tries of a call that may be repeated, when the platform says that the failure is passing. */
const RETRIES = 2;
/** Milliseconds before the first retry; doubled each time, with as much again at random. */
const RETRY_DELAY_MS = 50;

/** The error for a status with which the object refuses an attachment. */
const REFUSALS: Readonly<Record<number, ErrorCode>> = {
  404: "session_not_found",
  429: "too_many_writers",
};

export interface DurableObjectHostOptions {
  /** Without it nothing can be listed, counted or revoked, and no limit holds. */
  readonly directory?: DirectoryClient | undefined;
  /** How many sessions a subject may have at a time; 0, the default, is no limit. */
  readonly maxSessionsPerSubject?: number;
}

export class DurableObjectHost implements GatewayHost {
  readonly #sessions: DurableObjectNamespace<SessionObject>;
  readonly #directory: DirectoryClient | undefined;
  readonly #admission: Admission | undefined;
  readonly #refusalTime = new RefusalTime();

  constructor(
    sessions: DurableObjectNamespace<SessionObject>,
    { directory, maxSessionsPerSubject = 0 }: DurableObjectHostOptions = {},
  ) {
    this.#sessions = sessions;
    this.#directory = directory;
    if (directory && maxSessionsPerSubject > 0) {
      this.#admission = new Admission(directory, maxSessionsPerSubject);
    }
  }

  as(caller: Caller): GatewaySessions {
    return this.#sessionsOf(caller, VIEW);
  }

  documents(caller: Caller): Sessions<SessionDocument> {
    return this.#sessionsOf(caller, DOCUMENT);
  }

  async list(query: ListQuery) {
    return this.#listing().list(query);
  }

  async count(filter: SessionFilter) {
    return this.#listing().count(filter);
  }

  async revoke(subject: string) {
    return this.#listing().revoke(subject, Date.now());
  }

  #sessionsOf<T>(caller: Caller, shape: Shape<T>): DurableObjectSessions<T> {
    const sessions = new DurableObjectSessions(this.#sessions, caller, this.#admission, shape);
    // An admin may know which ids exist.
    return caller.admin ? sessions : withEvenRefusals(sessions, this.#refusalTime);
  }

  #listing(): DirectoryClient {
    if (this.#directory) return this.#directory;
    throw new UnavailableError("This service keeps no directory of its sessions.");
  }
}

/** In which form an object is asked for its session, and how an answer of that form is read. */
interface Shape<T> {
  readonly form: Form;
  readonly read: (shown: Shown) => T;
}

const VIEW: Shape<SessionView> = { form: "view", read: (shown) => shown as SessionView };
const DOCUMENT: Shape<SessionDocument> = {
  form: "document",
  read: (shown) => unpackDocument(shown as string),
};

/** Each call carries its caller, and the object itself decides. */
class DurableObjectSessions<T> implements GatewaySessions<T> {
  readonly #sessions: DurableObjectNamespace<SessionObject>;
  readonly #caller: Caller;
  readonly #admission: Admission | undefined;
  readonly #shape: Shape<T>;

  constructor(
    sessions: DurableObjectNamespace<SessionObject>,
    caller: Caller,
    admission: Admission | undefined,
    shape: Shape<T>,
  ) {
    this.#sessions = sessions;
    this.#caller = caller;
    this.#admission = admission;
    this.#shape = shape;
  }

  // A create or a publish is asked for once: one that failed half way may have happened.
  async create(id: SessionId, content: SessionContent) {
    const { form, read } = this.#shape;
    const create = (object: SessionStub) => object.create(this.#caller, id, content, form);
    return this.#admitted(id, content.subject ?? this.#caller.subject, async () =>
      read(await this.#ask(id, once, create)),
    );
  }

  publish(id: SessionId, events: readonly NewEvent[]) {
    return this.#ask(id, once, (object) => object.publish(this.#caller, events));
  }

  async patch(id: SessionId, patch: SessionPatch, ifMatch?: IfMatch) {
    const { form, read } = this.#shape;
    return read(
      await this.#ask(id, once, (object) => object.patch(this.#caller, patch, ifMatch, form)),
    );
  }

  async upsert(id: SessionId, content: SessionContent, ifMatch?: IfMatch) {
    const { form, read } = this.#shape;
    const upsert = async () => {
      const { created, session } = await this.#ask(id, once, (object) =>
        object.upsert(this.#caller, id, content, ifMatch, form),
      );
      return { created, session: read(session) };
    };
    if (!this.#admission) return upsert();
    // Replacing the content of a session that counts already takes no further place.
    const owner = await this.#ownerOf(id);
    const subject = content.subject ?? owner ?? this.#caller.subject;
    return owner === subject ? upsert() : this.#admitted(id, subject, upsert);
  }

  async read(id: SessionId, touch: boolean) {
    const { form, read } = this.#shape;
    return read(
      await this.#ask(id, repeatable, (object) => object.read(this.#caller, touch, form)),
    );
  }

  async delete(id: SessionId, ifMatch?: IfMatch) {
    const condition = ifMatch && { ifMatch };
    // Repeated after a removal whose answer was lost, a condition would fail on what it removed itself.
    const attempt = condition ? once : repeatable;
    const removed = await this.#ask(id, attempt, (object) =>
      object.remove(this.#caller, condition),
    );
    if (removed && this.#admission) await this.#untilListed(id);
    return removed;
  }

  async disconnect(id: SessionId) {
    await this.#ask(id, repeatable, (object) => object.disconnect(this.#caller));
  }

  initialize(id: SessionId, content: SessionContent, request: InitializeRequest) {
    return this.#admitted(id, content.subject, () =>
      this.#ask(id, once, (object) => object.initialize(id, content, request)),
    );
  }

  exchange(id: SessionId, request: ExchangeRequest) {
    return this.#ask(id, once, (object) => object.exchange(this.#caller, request));
  }

  subscribe(id: SessionId, start: StreamStart) {
    // A first reader's attach is not repeated: one whose answer was lost would hold the queue.
    return this.#open(id, start, start.kind === "queued" ? once : repeatable);
  }

  follow(id: SessionId, start: GatewayStart) {
    return this.#open(id, start, repeatable);
  }

  async #open(id: SessionId, start: StreamStart | GatewayStart, attempt: Attempt) {
    const attachment: Attachment = { caller: this.#caller, start };
    const url = `https://session.invalid/?attach=${encodeURIComponent(JSON.stringify(attachment))}`;
    const response = await attempt(() =>
      this.#stub(id).fetch(url, { headers: { upgrade: "websocket" } }),
    );
    const refusal = REFUSALS[response.status];
    if (refusal) throw errorFromCode(refusal);
    if (response.status === 400) throw new SessionError("invalid_request", "Unknown Last-Event-ID");
    if (!response.webSocket) throw new UnavailableError();
    return response.webSocket;
  }

  /** Makes a session where its subject may have one more. */
  #admitted<R>(id: SessionId, subject: string | undefined, make: () => Promise<R>): Promise<R> {
    if (!this.#admission || subject === undefined) return make();
    return this.#admission.run(subject, id, make, () => this.#untilListed(id));
  }

  /** Waits until the directory knows of the last change; a directory that cannot be reached is no failure of the change. */
  async #untilListed(id: SessionId): Promise<void> {
    await this.#stub(id)
      .untilListed()
      .catch(() => undefined);
  }

  /** Whose the session is, as far as the caller may know. */
  async #ownerOf(id: SessionId): Promise<string | undefined> {
    const found = await repeatable(() => this.#stub(id).read(this.#caller, false));
    return found.ok ? VIEW.read(found.value).subject : undefined;
  }

  /** The object's answer. Throws the error that it refuses with, or `UnavailableError` where it fails. */
  async #ask<R>(
    id: SessionId,
    attempt: Attempt,
    call: (object: SessionStub) => Promise<Outcome<R>>,
  ): Promise<R> {
    return unwrap(await attempt(() => call(this.#stub(id))));
  }

  // A stub that has failed may stay broken, so each try gets a new one.
  #stub(id: SessionId): SessionStub {
    // The platform's own stub type distributes over the union in Outcome and loses its value.
    return this.#sessions.get(this.#sessions.idFromName(id)) as unknown as SessionStub;
  }
}

type Attempt = <R>(call: () => Promise<R>) => Promise<R>;

async function once<R>(call: () => Promise<R>): Promise<R> {
  try {
    return await call();
  } catch (failure) {
    throw new UnavailableError(undefined, { cause: failure });
  }
}

async function repeatable<R>(call: () => Promise<R>): Promise<R> {
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
