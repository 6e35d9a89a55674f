/** The session host of the Worker: each session is a Durable Object, found by its id. */
import { CALL_VERSION, ERA_CALL_VERSION, type Caller } from "../core/caller.ts";
import { unpackDocument, type Form } from "../core/document.ts";
import { errorFromCode, SessionError, UnavailableError, unwrap } from "../core/errors.ts";
import type { ErrorCode, Outcome } from "../core/errors.ts";
import type {
  ListQuery,
  Published,
  SessionDocument,
  SessionFilter,
  Sessions,
  SessionView,
} from "../core/host.ts";
import type { SessionId } from "../core/id.ts";
import { Admission } from "../directory/admission.ts";
import type { DirectoryClient } from "../directory/client.ts";
import type { ExchangeAnswer, GatewayHost, GatewaySessions } from "../gateway/contract.ts";
import { traced } from "../signals/traces.ts";
import { waitForNotification } from "../stream/waiters.ts";
import { once, repeatable, unlessOlder, type Attempt } from "./attempts.ts";
import { publishKeyOf } from "./publish-key.ts";
import { RefusalTime, withPaddedRefusals } from "./refusal-timing.ts";
import type { Attachment } from "./attaching.ts";
import type { SessionObject } from "./session-object.ts";
import type { Shown } from "./shown.ts";
import type { DamagedObjects } from "./damaged-objects.ts";
import type { StoredObjects } from "./stored-objects.ts";

type Namespace = Pick<DurableObjectNamespace<SessionObject>, "idFromName" | "get">;

/** The object's methods as a caller over RPC sees them: each returns a promise. */
type Remote<T> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never;
};

type SessionStub = Remote<Omit<SessionObject, keyof Fetcher>> & Fetcher;

/** The error for a status with which the object refuses an attachment. */
const REFUSALS: Readonly<Record<number, ErrorCode>> = {
  404: "session_not_found",
  429: "too_many_writers",
};

export interface DurableObjectHostOptions {
  /** Without it nothing can be listed, counted or revoked, and no limit holds. */
  readonly directory?: DirectoryClient | undefined;
  /** How many sessions a subject may have at a time; 0, the default: no limit. */
  readonly maxSessionsPerSubject?: number;
  /** Tells which ids have no session without waking an object. Absent: the host asks the object of each id. */
  readonly stored?: StoredObjects | undefined;
  /** Handles objects whose file is damaged. Absent: the objects have no files that this process can reach. */
  readonly damaged?: DamagedObjects | undefined;
}

export class DurableObjectHost implements GatewayHost {
  readonly #namespace: Namespace;
  readonly #directory: DirectoryClient | undefined;
  readonly #admission: Admission | undefined;
  readonly #stored: StoredObjects | undefined;
  readonly #damaged: DamagedObjects | undefined;
  readonly #refusalTime = new RefusalTime();

  constructor(
    namespace: Namespace,
    { directory, maxSessionsPerSubject = 0, stored, damaged }: DurableObjectHostOptions = {},
  ) {
    this.#namespace = namespace;
    this.#damaged = damaged;
    this.#stored = stored;
    this.#directory = directory;
    if (directory && maxSessionsPerSubject > 0) {
      this.#admission = new Admission(directory, maxSessionsPerSubject);
    }
  }

  get notes() {
    return this.#directory?.notes;
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

  get checks(): GatewayHost["checks"] {
    const directory = this.#directory;
    return {
      /** An object that is no session's stores a row. */
      storage: async () => {
        const stub = this.#namespace.get(this.#namespace.idFromName("readiness"));
        await (stub as unknown as SessionStub).store().catch(unlessOlder);
      },
      ...(directory && {
        directory: async () => {
          const { partial } = await directory.list({ limit: 1 });
          if (partial) throw new UnavailableError("A part of the directory did not answer.");
        },
      }),
    };
  }

  #sessionsOf<T>(caller: Caller, shape: Shape<T>): GatewaySessions<T> {
    const sessions = sessionsOf(
      {
        namespace: this.#namespace,
        admission: this.#admission,
        directory: this.#directory,
        stored: this.#stored,
        damaged: this.#damaged,
      },
      { ...caller, version: CALL_VERSION },
      shape,
    );
    // An admin may know which ids exist.
    return caller.admin ? sessions : withPaddedRefusals(sessions, this.#refusalTime);
  }

  #listing(): DirectoryClient {
    if (this.#directory) return this.#directory;
    throw new UnavailableError("This service keeps no directory of its sessions.");
  }
}

/** The form in which the host asks an object for its session, and the function that reads the answer. */
interface Shape<T> {
  readonly form: Form;
  readonly read: (shown: Shown) => T;
}

const VIEW: Shape<SessionView> = { form: "view", read: (shown) => shown as SessionView };
const DOCUMENT: Shape<SessionDocument> = {
  form: "document",
  read: (shown) => unpackDocument(shown as string),
};

interface HostParts {
  readonly namespace: Namespace;
  readonly admission: Admission | undefined;
  readonly directory: DirectoryClient | undefined;
  readonly stored: StoredObjects | undefined;
  readonly damaged: DamagedObjects | undefined;
}

/** The sessions as one caller may touch them: each call carries the caller, and the object decides. */
function sessionsOf<T>(
  { namespace, admission, directory, stored, damaged }: HostParts,
  caller: Caller,
  { form, read }: Shape<T>,
): GatewaySessions<T> {
  // A stub that has failed may stay broken, so each try gets a new one. The platform's
  // own stub type distributes over the union in Outcome and loses its value.
  const stub = (name: string) =>
    namespace.get(namespace.idFromName(name)) as unknown as SessionStub;

  /** Older objects refuse a call for a client without sessions. */
  const from = (era: unknown) => (era ? { ...caller, version: ERA_CALL_VERSION } : caller);

  /** Calls the object of that name. If its storage fails, this logs where that lies. */
  const callAt = async <R>(
    address: string,
    id: SessionId,
    attempt: Attempt,
    work: (object: SessionStub) => Promise<R>,
  ): Promise<R> => {
    try {
      return await attempt(() => work(stub(address)));
    } catch (failure) {
      damaged?.report(id, failure);
      throw failure;
    }
  };

  /** Calls the object that knows about an id. For most ids that is known without waiting, and costs no promise. */
  const call = <R>(
    id: SessionId,
    attempt: Attempt,
    work: (object: SessionStub) => Promise<R>,
  ): Promise<R> => {
    const address = stored ? stored.addressOf(id) : id;
    if (typeof address === "string") return callAt(address, id, attempt, work);
    return address.then((found) => callAt(found, id, attempt, work));
  };

  /** The object's answer. Throws the error that it refuses with, or `UnavailableError` if it fails. */
  const ask = async <R>(
    id: SessionId,
    attempt: Attempt,
    work: (object: SessionStub) => Promise<Outcome<R>>,
  ): Promise<R> => unwrap(await call(id, attempt, work));

  /** Deletes a session whose object cannot end it, if its files are damaged: nobody can read its owner, so only an admin may. */
  const drop = async (id: SessionId, failure: unknown): Promise<boolean> => {
    if (!caller.admin || !damaged) return false;
    const isDropped = await damaged.drop(id, failure, {
      probe: () => stub(`probe-${crypto.randomUUID()}`).read(caller, false),
      abort: () => stub(id).forget(),
    });
    if (!isDropped) return false;
    await directory?.deliver({ op: "remove", id, order: Date.now() }).catch(() => undefined);
    // Fails if the new files cannot be opened.
    await ask(id, once, (object) => object.remove(caller));
    return true;
  };

  /** As `ask`, for a call that may make the session. It is tried once: a try that failed half way may have happened. */
  const make = async <R>(
    id: SessionId,
    work: (object: SessionStub) => Promise<Outcome<R>>,
  ): Promise<R> => {
    const made = unwrap(await callAt(id, id, once, work));
    stored?.remember(id);
    return made;
  };

  /** Waits until the directory knows of the last change. If it cannot be reached, the change stands. */
  const untilListed = (id: SessionId): Promise<void> =>
    stub(id)
      .untilListed()
      .catch(() => undefined);

  /** Makes a session if its subject may have one more. */
  const admitted = <R>(id: SessionId, subject: string | undefined, make: () => Promise<R>) =>
    admission && subject !== undefined
      ? admission.run(subject, id, make, () => untilListed(id))
      : make();

  /** Undefined if the reader has seen the end of the stream. */
  const open = async (id: SessionId, start: Attachment["start"]) => {
    const attachment: Attachment = { caller: from(start.kind === "listen"), start };
    const url = `https://session.invalid/?attach=${encodeURIComponent(JSON.stringify(attachment))}`;
    const headers = { upgrade: "websocket" };
    const { status, webSocket } = await call(id, repeatable, (object) =>
      object.fetch(url, { headers }),
    );
    if (status === 204) return undefined;
    const refusal = REFUSALS[status];
    if (refusal) throw errorFromCode(refusal);
    if (status === 400) throw new SessionError("invalid_request", "Unknown Last-Event-ID");
    if (!webSocket) throw new UnavailableError();
    return webSocket;
  };

  const publish: Sessions["publish"] = async (id, events, idempotencyKey) => {
    // Without a key it is tried once: a try that failed half way may have happened.
    if (idempotencyKey === undefined) {
      return ask(id, once, (object) => object.publish(caller, events));
    }
    const key = await publishKeyOf(idempotencyKey, events);
    return ask(id, repeatable, (object) => object.publish(caller, events, key));
  };

  const exchange: GatewaySessions["exchange"] = async (id, request) => {
    const by = from(request.era);
    const answer = await call(id, once, (object) => object.exchange(by, request, true));
    if (typeof answer !== "string") return unwrap(answer);
    return { kind: "json", status: 200, body: answer };
  };

  return {
    create: (id, content) =>
      admitted(id, content.subject ?? caller.subject, async () =>
        read(await make(id, (object) => object.create(caller, id, content, form))),
      ),
    publish: (...given) =>
      traced("holdfast.publish", {}, PUBLISH_OUTCOMES, () => publish(...given)),
    patch: async (id, patch, ifMatch) =>
      read(await ask(id, once, (object) => object.patch(caller, patch, ifMatch, form))),
    async upsert(id, content, ifMatch) {
      const upsert = async () => {
        const { created, session } = await make(id, (object) =>
          object.upsert(caller, id, content, ifMatch, form),
        );
        return { created, session: read(session) };
      };
      if (!admission) return upsert();
      // Replacing the content of a session that counts already takes no further place.
      const found = await callAt(id, id, repeatable, (object) => object.read(caller, false));
      const owner =
        typeof found !== "string" && found.ok ? VIEW.read(found.value).subject : undefined;
      const subject = content.subject ?? owner ?? caller.subject;
      return owner === subject ? upsert() : admitted(id, subject, upsert);
    },
    async read(id, touch) {
      const answer = await call(id, repeatable, (object) => object.read(caller, touch, form));
      return read(typeof answer === "string" ? answer : unwrap(answer));
    },
    async delete(id, ifMatch, headers) {
      const condition = ifMatch && { ifMatch };
      // If the answer to a removal was lost, a repeated condition would fail: its session is gone.
      const attempt = condition ? once : repeatable;
      let removed: boolean;
      try {
        removed = await ask(id, attempt, (object) => object.remove(caller, condition, headers));
      } catch (failure) {
        if (condition || !(await drop(id, failure))) throw failure;
        return true;
      }
      if (removed && admission) await untilListed(id);
      return removed;
    },
    endStream: (id, last) => ask(id, repeatable, (object) => object.endStream(caller, last)),
    readEvents: (id, query) => ask(id, repeatable, (object) => object.readEvents(caller, query)),
    async awaitEvents(id, after, ms) {
      const socket = await open(id, { kind: "news", after });
      if (socket) await waitForNotification(socket, ms);
    },
    async disconnect(id) {
      await ask(id, repeatable, (object) => object.disconnect(caller));
    },
    initialize: (id, content, request) =>
      admitted(id, content.subject, () =>
        make(id, (object) => object.initialize(id, content, request, from(request.era).version)),
      ),
    exchange: (...given) =>
      traced("holdfast.exchange", {}, EXCHANGE_OUTCOMES, () => exchange(...given)),
    task: (id, about) => {
      const work = (object: SessionStub) => object.task(caller, id, about);
      // A call may make the session.
      return about.kind === "call" ? make(id, work) : ask(id, once, work);
    },
    subscribe: open,
    async follow(id, start) {
      const socket = await open(id, start);
      if (!socket) throw new UnavailableError();
      return socket;
    },
  };
}

const PUBLISH_OUTCOMES = {
  of: ({ replayed }: Published) => (replayed ? "replayed" : "stored"),
};
const EXCHANGE_OUTCOMES = { of: ({ kind }: ExchangeAnswer) => kind };
