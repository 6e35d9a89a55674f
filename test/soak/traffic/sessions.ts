/** Creators, writers and deleters of the service's sessions. */
import { setTimeout as sleep } from "node:timers/promises";
import { newSessionId } from "../../../src/library/model/session.ts";
import type { Random } from "../../support/fuzz/random.ts";
import type { Outcome } from "../history.ts";
import type { Journal } from "../journal.ts";
import type { Rates } from "../options.ts";
import type { Api } from "./api.ts";
import { Follower } from "./follower.ts";
import { Living } from "./living.ts";
import { atRate } from "./pace.ts";
import { publish } from "./publishers.ts";

export const SESSIONS = "session";

/** Share of the sessions that expire, and their TTL. */
const EXPIRING = 0.3;
export const SHORT_TTL_SECONDS = 3;
/** Each expiring session is read within so many seconds, well before its time is up. */
const READ_WITHIN_SECONDS = 1;
/** The most seconds that one creation takes. */
const CREATE_SECONDS = 1.1;
/** Share of the other sessions that have a follower until they are deleted. */
const FOLLOWED = 0.2;
const MOST_FOLLOWED = 12;
/** No session is deleted if no more than this many are left. */
const FEWEST_LIVING = 40;
/** Share of the writes that are publishes, and their most in a session: fewer than QUEUE_CAPACITY. */
const PUBLISHES = 0.3;
const MOST_PUBLISHED = 60;
/** Share of the deletes that race a write. Calls follow that must not bring the session back. */
const RACED = 0.3;

interface Session {
  readonly id: string;
  /** Undefined after a write whose answer was lost. The next write reads it first. */
  etag: string | undefined;
  published: number;
}

interface SessionJson {
  readonly metadata: Readonly<Record<string, string>>;
}

interface SessionTrafficOptions {
  readonly journal: Journal;
  readonly api: Api;
  readonly random: Random;
  readonly origins: readonly string[];
  readonly silenceMs: number;
}

export class SessionTraffic {
  readonly #options: SessionTrafficOptions;
  readonly #living: Living<Session>;
  readonly followers: Follower[] = [];
  /** The sessions that expire. */
  readonly expiring = new Set<string>();
  #values = 0;

  constructor(options: SessionTrafficOptions) {
    this.#options = options;
    this.#living = new Living(options.random);
  }

  async run(rates: Rates, signal: AbortSignal): Promise<void> {
    await Promise.all([
      // A creator waits before it reads an expiring session. Other creators work meanwhile.
      atRate(rates.create, signal, () => this.#create(), Math.ceil(rates.create * CREATE_SECONDS)),
      atRate(rates.write, signal, () => this.#living.withOne((session) => this.#write(session))),
      atRate(rates.delete, signal, () => this.#delete()),
    ]);
  }

  /** Picks a living session as a fault's target. */
  anyId(): string | undefined {
    return this.#living.pick()?.id;
  }

  /** Makes a session that nobody deletes. Throws if the service does not acknowledge it. */
  async createLasting(): Promise<string> {
    const id = await this.createFor();
    if (id === undefined) throw new Error("a session could not be made");
    return id;
  }

  /** Makes one that nobody deletes, for other traffic; undefined if that is not acknowledged. */
  async createFor(more: { readonly overflow?: "trim" } = {}): Promise<string | undefined> {
    const { outcome, session } = await this.#make(more);
    return outcome === "done" ? session.id : undefined;
  }

  async #create(): Promise<void> {
    const { random } = this.#options;
    const expires = random.chance(EXPIRING);
    const notOverBefore = performance.now() + SHORT_TTL_SECONDS * 1000;
    const { outcome, session } = await this.#make(expires ? { ttlSeconds: SHORT_TTL_SECONDS } : {});
    if (expires) this.expiring.add(session.id);
    if (outcome !== "done") return;
    if (expires) {
      await sleep(random.next() * READ_WITHIN_SECONDS * 1000);
      await this.#readInTime(session.id, notOverBefore);
      return;
    }
    if (random.chance(FOLLOWED)) this.#follow(session.id);
    this.#living.add(session);
  }

  async #make(more: object): Promise<{ outcome: Outcome; session: Session }> {
    const { journal } = this.#options;
    const [id, value] = [newSessionId(), this.#newValue()];
    const body = { id, metadata: { value }, ...more };
    const { outcome, result } = await journal.change(
      SESSIONS,
      { record: id, kind: "create", value },
      async () => {
        const { outcome, etag } = await this.#send("POST", "/v1/sessions", body);
        return { outcome, ...(etag !== undefined && { result: etag }) };
      },
    );
    return { outcome, session: { id, etag: result, published: 0 } };
  }

  #follow(session: string): void {
    const { journal, silenceMs } = this.#options;
    if (this.followers.filter(({ ended }) => !ended).length >= MOST_FOLLOWED) return;
    const name = `follower ${this.followers.length}`;
    this.followers.push(
      new Follower(journal, { name, session, origin: this.#origin(), silenceMs }),
    );
  }

  async #write(session: Session): Promise<void> {
    const { journal, api, random } = this.#options;
    if (session.published < MOST_PUBLISHED && random.chance(PUBLISHES)) {
      session.published++;
      const [publisher, origin] = ["writers", this.#origin()];
      await publish(
        { journal, api },
        { session: session.id, publisher, origin, events: 1, tries: 1 },
      );
      return;
    }
    session.etag ??= await this.#read(session.id);
    if (session.etag !== undefined) session.etag = await this.#patch(session.id, session.etag);
  }

  /** Answers the new entity tag, or undefined if it is unknown. */
  async #patch(id: string, ifMatch?: string): Promise<string | undefined> {
    const value = this.#newValue();
    const { result } = await this.#options.journal.change(
      SESSIONS,
      { record: id, kind: "write", value },
      async () => {
        const body = { metadata: { value } };
        const { outcome, etag } = await this.#send("PATCH", `/v1/sessions/${id}`, body, ifMatch);
        return { outcome, ...(outcome === "done" && etag !== undefined && { result: etag }) };
      },
    );
    return result;
  }

  async #read(id: string): Promise<string | undefined> {
    const { result } = await this.#options.journal.change(
      SESSIONS,
      { record: id, kind: "read", value: undefined },
      async () => {
        const { outcome, json, etag } = await this.#send<SessionJson>("GET", `/v1/sessions/${id}`);
        return {
          outcome,
          value: json?.metadata["value"],
          ...(etag !== undefined && { result: etag }),
        };
      },
    );
    return result;
  }

  /** Reads an expiring session, which must exist until its time is up. The read does not extend it. */
  async #readInTime(id: string, notOverBefore: number): Promise<void> {
    await this.#options.journal.change<never>(
      SESSIONS,
      { record: id, kind: "read", value: undefined },
      async () => {
        const path = `/v1/sessions/${id}?touch=false`;
        const { outcome, json } = await this.#send<SessionJson>("GET", path);
        const inTime = performance.now() < notOverBefore;
        return { outcome, value: json?.metadata["value"], inTime };
      },
    );
  }

  async #delete(): Promise<void> {
    const session = this.#living.pick();
    if (!session || this.#living.size <= FEWEST_LIVING) return;
    this.#living.remove(session);
    const raced = !this.#living.isBusy(session) && this.#options.random.chance(RACED);
    const { id } = session;
    const remove = this.#options.journal.change<never>(
      SESSIONS,
      { record: id, kind: "delete", value: undefined },
      () => this.#send("DELETE", `/v1/sessions/${id}`),
    );
    await Promise.all([remove, raced && this.#patch(id)]);
    if (!raced) return;
    await this.#patch(id);
    await this.#read(id);
  }

  #send<T>(method: string, path: string, body?: unknown, ifMatch?: string) {
    return this.#options.api.send<T>(this.#origin(), { method, path, body, ifMatch });
  }

  #origin(): string {
    return this.#options.random.pick(this.#options.origins);
  }

  #newValue(): string {
    return `value ${this.#values++}`;
  }
}
