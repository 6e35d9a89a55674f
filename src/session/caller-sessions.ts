/** The sessions of the Worker as one caller may touch them. */
import { ERA_CALL_VERSION, type Caller } from "../core/caller.ts";
import { unpackDocument, type Form } from "../core/document.ts";
import { errorFromCode, SessionError, UnavailableError, unwrap } from "../core/errors.ts";
import type { ErrorCode, Outcome } from "../core/errors.ts";
import type { Published, SessionContent, SessionDocument, SessionView } from "../core/host.ts";
import type { SessionId } from "../core/id.ts";
import type { Admission } from "../directory/admission.ts";
import type { DirectoryClient } from "../directory/client.ts";
import type { ExchangeAnswer, GatewaySessions } from "../gateway/contract.ts";
import { traced } from "../signals/traces.ts";
import { waitForNotification } from "../stream/waiters.ts";
import { once, repeatable, type Attempt } from "./attempts.ts";
import { publishKeyOf } from "./publish-key.ts";
import type { Attachment } from "./attaching.ts";
import type { SessionObject } from "./session-object.ts";
import type { Shown } from "./shown.ts";
import type { DamagedObjects } from "./damaged-objects.ts";
import type { StoredObjects } from "./stored-objects.ts";

export type Namespace = Pick<DurableObjectNamespace<SessionObject>, "idFromName" | "get">;

/** The object's methods as a caller over RPC sees them: each returns a promise. */
type Remote<T> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never;
};

export type SessionStub = Remote<Omit<SessionObject, keyof Fetcher>> & Fetcher;

/** The error for a status with which the object refuses an attachment. */
const REFUSALS: Readonly<Record<number, ErrorCode>> = {
  404: "session_not_found",
  429: "too_many_writers",
};

/** The form in which the host asks an object for its session, and the function that reads the answer. */
export interface Shape<T> {
  readonly form: Form;
  readonly read: (shown: Shown) => T;
}

export const VIEW: Shape<SessionView> = { form: "view", read: (shown) => shown as SessionView };
export const DOCUMENT: Shape<SessionDocument> = {
  form: "document",
  read: (shown) => unpackDocument(shown as string),
};

export interface HostParts {
  readonly namespace: Namespace;
  readonly admission: Admission | undefined;
  readonly directory: DirectoryClient | undefined;
  readonly stored: StoredObjects | undefined;
  readonly damaged: DamagedObjects | undefined;
}

type Host<T> = GatewaySessions<T>;

/** The sessions as one caller may touch them: each call carries the caller, and the object decides. */
export class CallerSessions<T> implements GatewaySessions<T> {
  readonly #parts: HostParts;
  readonly #caller: Caller;
  readonly #shape: Shape<T>;

  constructor(parts: HostParts, caller: Caller, shape: Shape<T>) {
    this.#parts = parts;
    this.#caller = caller;
    this.#shape = shape;
  }

  create(id: SessionId, content: SessionContent): Promise<T> {
    const { form, read } = this.#shape;
    return this.#admitted(id, content.subject ?? this.#caller.subject, async () =>
      read(await this.#make(id, (object) => object.create(this.#caller, id, content, form))),
    );
  }

  publish(...given: Parameters<Host<T>["publish"]>): Promise<Published> {
    return traced("holdfast.publish", {}, PUBLISH_OUTCOMES, () => this.#publish(...given));
  }

  async #publish(...[id, events, idempotencyKey]: Parameters<Host<T>["publish"]>) {
    // Without a key it is tried once: a try that failed half way may have happened.
    if (idempotencyKey === undefined) {
      return this.#ask(id, once, (object) => object.publish(this.#caller, events));
    }
    const key = await publishKeyOf(idempotencyKey, events);
    return this.#ask(id, repeatable, (object) => object.publish(this.#caller, events, key));
  }

  async patch(...[id, patch, ifMatch]: Parameters<Host<T>["patch"]>): Promise<T> {
    const { form, read } = this.#shape;
    const work = (object: SessionStub) => object.patch(this.#caller, patch, ifMatch, form);
    return read(await this.#ask(id, once, work));
  }

  async upsert(...[id, content, ifMatch]: Parameters<Host<T>["upsert"]>) {
    const { form, read } = this.#shape;
    const upsert = async () => {
      const { created, session } = await this.#make(id, (object) =>
        object.upsert(this.#caller, id, content, ifMatch, form),
      );
      return { created, session: read(session) };
    };
    if (!this.#parts.admission) return upsert();
    // Replacing the content of a session that counts already takes no further place.
    const found = await this.#callAt(id, id, repeatable, (object) =>
      object.read(this.#caller, false),
    );
    const owner =
      typeof found !== "string" && found.ok ? VIEW.read(found.value).subject : undefined;
    const subject = content.subject ?? owner ?? this.#caller.subject;
    return owner === subject ? upsert() : this.#admitted(id, subject, upsert);
  }

  async read(id: SessionId, touch: boolean): Promise<T> {
    const { form, read } = this.#shape;
    const answer = await this.#call(id, repeatable, (object) =>
      object.read(this.#caller, touch, form),
    );
    return read(typeof answer === "string" ? answer : unwrap(answer));
  }

  async delete(...[id, ifMatch, headers]: Parameters<Host<T>["delete"]>): Promise<boolean> {
    const condition = ifMatch && { ifMatch };
    // If the answer to a removal was lost, a repeated condition would fail: its session is gone.
    const attempt = condition ? once : repeatable;
    let removed: boolean;
    try {
      const work = (object: SessionStub) => object.remove(this.#caller, condition, headers);
      removed = await this.#ask(id, attempt, work);
    } catch (failure) {
      if (condition || !(await this.#endDamaged(id, failure))) throw failure;
      removed = true;
    }
    if (removed && this.#parts.admission) await this.#untilListed(id);
    return removed;
  }

  endStream(...[id, last]: Parameters<Host<T>["endStream"]>) {
    return this.#ask(id, repeatable, (object) => object.endStream(this.#caller, last));
  }

  readEvents(...[id, query]: Parameters<Host<T>["readEvents"]>) {
    return this.#ask(id, repeatable, (object) => object.readEvents(this.#caller, query));
  }

  async awaitEvents(...[id, after, ms]: Parameters<Host<T>["awaitEvents"]>): Promise<void> {
    const socket = await this.subscribe(id, { kind: "news", after });
    if (socket) await waitForNotification(socket, ms);
  }

  async disconnect(id: SessionId): Promise<void> {
    await this.#ask(id, repeatable, (object) => object.disconnect(this.#caller));
  }

  initialize(...[id, content, request]: Parameters<Host<T>["initialize"]>) {
    return this.#admitted(id, content.subject, () =>
      this.#make(id, (object) =>
        object.initialize(id, content, request, this.#from(request.era).version),
      ),
    );
  }

  exchange(...[id, request]: Parameters<Host<T>["exchange"]>): Promise<ExchangeAnswer> {
    return traced("holdfast.exchange", {}, EXCHANGE_OUTCOMES, async () => {
      const by = this.#from(request.era);
      const answer = await this.#call(id, once, (object) => object.exchange(by, request, true));
      if (typeof answer !== "string") return unwrap(answer);
      return { kind: "json", status: 200, body: answer };
    });
  }

  task(...[id, about]: Parameters<Host<T>["task"]>) {
    const work = (object: SessionStub) => object.task(this.#caller, id, about);
    // A call may make the session.
    return about.kind === "call" ? this.#make(id, work) : this.#ask(id, once, work);
  }

  /** Undefined if the reader has seen the end of the stream. */
  async subscribe(id: SessionId, start: Attachment["start"]): Promise<WebSocket | undefined> {
    const attachment: Attachment = { caller: this.#from(start.kind === "listen"), start };
    const url = `https://session.invalid/?attach=${encodeURIComponent(JSON.stringify(attachment))}`;
    const headers = { upgrade: "websocket" };
    const { status, webSocket } = await this.#call(id, repeatable, (object) =>
      object.fetch(url, { headers }),
    );
    if (status === 204) return undefined;
    const refusal = REFUSALS[status];
    if (refusal) throw errorFromCode(refusal);
    if (status === 400) throw new SessionError("invalid_request", "Unknown Last-Event-ID");
    if (!webSocket) throw new UnavailableError();
    return webSocket;
  }

  async follow(...[id, start]: Parameters<Host<T>["follow"]>): Promise<WebSocket> {
    const socket = await this.subscribe(id, start);
    if (!socket) throw new UnavailableError();
    return socket;
  }

  /** A stub that has failed may stay broken, so each try gets a new one. */
  #stub(name: string): SessionStub {
    const { namespace } = this.#parts;
    // The platform's own stub type distributes over the union in Outcome and loses its value.
    return namespace.get(namespace.idFromName(name)) as unknown as SessionStub;
  }

  /** Older objects refuse a call for a client without sessions. */
  #from(era: unknown): Caller {
    return era ? { ...this.#caller, version: ERA_CALL_VERSION } : this.#caller;
  }

  /** Calls the object of that name. If its storage fails, this logs where that lies. */
  async #callAt<R>(
    address: string,
    id: SessionId,
    attempt: Attempt,
    work: (object: SessionStub) => Promise<R>,
  ): Promise<R> {
    try {
      return await attempt(() => work(this.#stub(address)));
    } catch (failure) {
      this.#parts.damaged?.report(id, failure);
      throw failure;
    }
  }

  /** Calls the object that knows about an id. For most ids that is known without waiting, and costs no promise. */
  #call<R>(id: SessionId, attempt: Attempt, work: (object: SessionStub) => Promise<R>): Promise<R> {
    const address = this.#parts.stored?.addressOf(id) ?? id;
    if (typeof address === "string") return this.#callAt(address, id, attempt, work);
    return address.then((found) => this.#callAt(found, id, attempt, work));
  }

  /** The object's answer. Throws the error that it refuses with, or `UnavailableError` if it fails. */
  async #ask<R>(
    id: SessionId,
    attempt: Attempt,
    work: (object: SessionStub) => Promise<Outcome<R>>,
  ): Promise<R> {
    return unwrap(await this.#call(id, attempt, work));
  }

  /** As `#ask`, for a call that may make the session. It is tried once: a try that failed half way may have happened. */
  async #make<R>(id: SessionId, work: (object: SessionStub) => Promise<Outcome<R>>): Promise<R> {
    const made = unwrap(await this.#callAt(id, id, once, work));
    this.#parts.stored?.remember(id);
    return made;
  }

  /** Makes a session if its subject may have one more. */
  #admitted<R>(id: SessionId, subject: string | undefined, make: () => Promise<R>): Promise<R> {
    const { admission } = this.#parts;
    if (!admission || subject === undefined) return make();
    return admission.run(subject, id, make, () => this.#untilListed(id));
  }

  /** Waits until the directory knows of the last change. If it cannot be reached, the change stands. */
  #untilListed(id: SessionId): Promise<void> {
    return this.#stub(id)
      .untilListed()
      .catch(() => undefined);
  }

  /** Deletes a session whose object cannot end it, if its file is damaged: nobody can read its owner, so only an admin may. */
  async #endDamaged(id: SessionId, failure: unknown): Promise<boolean> {
    const { damaged, directory } = this.#parts;
    if (!this.#caller.admin || !damaged) return false;
    return damaged.end(id, failure, {
      probe: async () => {
        // An object in memory needs no file opened.
        await this.#stub(PROBE)
          .forget()
          .catch(() => undefined);
        await this.#stub(PROBE).store(true);
      },
      abort: () => this.#stub(id).forget(),
      remove: () => this.#ask(id, once, (object) => object.remove(this.#caller)),
      unlist: () => once(async () => directory?.remove(id)),
    });
  }
}

/** The name of the object that shows whether any object can store. It is no UUID, so no session has it. */
const PROBE = "probe";

const PUBLISH_OUTCOMES = {
  of: ({ replayed }: Published) => (replayed ? "replayed" : "stored"),
};
const EXCHANGE_OUTCOMES = { of: ({ kind }: ExchangeAnswer) => kind };
