/**
 * Answers as a model gives them: a session is published to under keys and then ended. A reader comes
 * and goes meanwhile, with its last id or without an id, and a script reads the same as JSON. Half of
 * the sessions drop their oldest events, and are published more than they retain while their reader
 * is away.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type * as api from "../../../src/core/api.ts";
import type { Random } from "../../support/fuzz/random.ts";
import { lastEventIdIn, SseReader } from "../../support/sse-reader.ts";
import type { Page, Seen, Visit } from "../history.ts";
import type { Journal } from "../journal.ts";
import type { Api } from "./api.ts";
import { gapIn } from "./follower.ts";
import { atRate, caughtUpOnInput, Turns } from "./pace.ts";
import { MOST_TRIES, publish, REPEATED } from "./publishers.ts";
import type { SessionTraffic } from "./sessions.ts";

/** The most events of an answer, and the most milliseconds between two. */
const MOST_EVENTS = 20;
const LONGEST_PAUSE_MS = 150;
/** The most milliseconds that a reader stays. */
const LONGEST_STAY_MS = 1200;
/**
 * The least that it stays where bursts come. After one, the service takes it for granted within some
 * milliseconds that a reader has what its connection took.
 */
const SHORTEST_STAY_MS = 300;
/** Share of the readers that keep their last id. */
const KEEP_ID = 0.5;
/** Share of the sessions that trim, and how often one of their publishes is a burst instead. */
const TRIM = 0.5;
const BURSTS = 0.2;
/** The most events of a burst, in logs, and of one array in it. */
const LARGEST_BURST = 1.5;
const EVENTS_IN_ARRAY = 100;
const EVENTS_IN_PAGE = 3;
const EVENTS_IN_PAGE_OF_BURSTS = 50;
const WAIT_SECONDS = 0.5;
/** Milliseconds after which a reader gives up, counted from the acknowledged end. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 200;
/** About the seconds that one answer takes. */
const ANSWER_SECONDS = 4;

interface AnswerTrafficOptions {
  readonly journal: Journal;
  readonly api: Api;
  readonly random: Random;
  readonly sessions: SessionTraffic;
  readonly origins: readonly string[];
  /**
   * The URL for readers without an id, without a relay: what a relay took counts as read if it is
   * held up for half a second, and the reader leaves meanwhile. The service's own ends cut them.
   */
  readonly pageOrigin: string;
  /** Events that a log retains: an answer that is not trimmed has no more. */
  readonly retained: number;
}

/** One session, and how its traffic goes. */
interface Course {
  readonly session: string;
  readonly trims: boolean;
  readonly keepsId: boolean;
  /** Visits and bursts take turns, so that a burst comes while the reader is away. */
  readonly turns: Turns;
}

export class AnswerTraffic {
  readonly #options: AnswerTrafficOptions;

  constructor(options: AnswerTrafficOptions) {
    this.#options = options;
  }

  run(rate: number, signal: AbortSignal): Promise<void> {
    return atRate(rate, signal, () => this.#once(), Math.ceil(rate * ANSWER_SECONDS));
  }

  async #once(): Promise<void> {
    const { random, sessions, journal } = this.#options;
    const [trims, keepsId] = [random.chance(TRIM), random.chance(KEEP_ID)];
    const session = await sessions.createFor(trims ? { overflow: "trim" } : {});
    if (session === undefined) return;
    const course = { session, trims, keepsId, turns: new Turns() };
    const giveUp = new AbortController();
    const writing = this.#write(course).finally(() => {
      setTimeout(() => giveUp.abort(), PATIENCE_MS).unref();
    });
    const [endIds, visits, pages] = await Promise.all([
      writing,
      this.#comeAndGo(course, giveUp.signal),
      this.#read(course, giveUp.signal),
    ]);
    const [endId] = endIds;
    // Reads a page once more, as a client that comes late does.
    const comesLate = endId !== undefined && !keepsId;
    const late = comesLate ? await this.#comeAndGo(course, giveUp.signal) : [];
    const afterEnd = endId === undefined ? undefined : await this.#comeBack(session, endId);
    const streams = [...visits, ...late];
    journal.answers.push({ session, keepsId, endIds, streams, pages, afterEnd });
  }

  /** Publishes and ends. Returns the ids in the answers to the end, which is asked for twice. */
  async #write({ session, trims, turns }: Course): Promise<string[]> {
    const { api, random, retained } = this.#options;
    const count = 1 + random.below(Math.min(MOST_EVENTS, retained));
    for (let n = 0; n < count; n++) {
      await sleep(random.next() * LONGEST_PAUSE_MS);
      if (trims && random.chance(BURSTS)) await turns.run(() => this.#burst(session));
      else await this.#publish(session, 1);
    }
    const ids: string[] = [];
    const until = performance.now() + PATIENCE_MS;
    while (ids.length < 2 && performance.now() < until) {
      const path = `/v1/sessions/${session}/end`;
      const { json } = await api.send<{ id: string }>(this.#origin(), { method: "POST", path });
      if (json) ids.push(json.id);
      else await sleep(RETRY_MS);
    }
    return ids;
  }

  async #burst(session: string): Promise<void> {
    const { random, retained } = this.#options;
    const array = Math.min(EVENTS_IN_ARRAY, retained);
    let left = 1 + random.below(Math.ceil(LARGEST_BURST * retained));
    for (; left > 0; left -= array) await this.#publish(session, Math.min(left, array));
  }

  /** Nothing else is published to the session meanwhile, so its log does not trim the key before a repeat. */
  async #publish(session: string, events: number): Promise<void> {
    const { journal, api, random } = this.#options;
    const again = random.chance(REPEATED);
    const one = { session, publisher: "the model", events, tries: MOST_TRIES, again };
    await publish({ journal, api }, { ...one, origin: this.#origin() });
  }

  /** Opens stream after stream, until one has come to the end. */
  async #comeAndGo(course: Course, signal: AbortSignal): Promise<Visit[]> {
    const visits: Visit[] = [];
    let lastId: string | undefined;
    while (visits.at(-1)?.endId === undefined && !signal.aborted) {
      const visit = await course.turns.run(() => this.#visit(course, lastId));
      if (visit) visits.push(visit.visit);
      else await sleep(RETRY_MS);
      if (course.keepsId) lastId = visit?.lastId ?? lastId;
    }
    return visits;
  }

  /** One stream; undefined if the service did not answer. */
  async #visit(
    { session, trims }: Course,
    comesWith: string | undefined,
  ): Promise<{ readonly visit: Visit; readonly lastId: string | undefined } | undefined> {
    const { pageOrigin, random, journal } = this.#options;
    const origin = comesWith === undefined ? pageOrigin : this.#origin();
    const leave = new AbortController();
    const seen: Seen[] = [];
    let endId: string | undefined;
    let place = comesWith;
    let reader: SseReader | undefined;
    const least = trims ? SHORTEST_STAY_MS : 0;
    const stay = least + random.next() * (LONGEST_STAY_MS - least);
    void sleep(stay, undefined, { signal: leave.signal })
      .then(caughtUpOnInput)
      .then(() => leave.abort())
      .catch(() => {});
    try {
      const response = await fetch(`${origin}/v1/sessions/${session}/events`, {
        signal: leave.signal,
        headers: comesWith === undefined ? {} : { "last-event-id": comesWith },
      });
      if (response.status !== 200) {
        await response.body?.cancel();
        if (response.status !== 503) journal.surprise(`following an answer: ${response.status}`);
        return undefined;
      }
      reader = new SseReader(response.body as unknown as ReadableStream<Uint8Array>);
      for (;;) {
        const [frame] = await reader.take(1);
        if (!frame) break;
        const { id = "", event, data } = frame;
        if (event === "ended") endId = id;
        else if (event !== "gap") seen.push({ kind: "event", id, data });
        else {
          const said = gapIn(JSON.parse(data) as api.Gap);
          seen.push({ kind: "gap", ...said, place: place ?? "", at: journal.tick() });
        }
        place = id;
      }
    } catch {
      // The reader left, or was cut.
    }
    leave.abort();
    const lastId = lastEventIdIn(reader?.text ?? "") ?? comesWith;
    return { visit: { seen, endId }, lastId };
  }

  /** Reads page after page until one says that nothing follows. */
  async #read({ session, trims }: Course, signal: AbortSignal): Promise<Page[]> {
    const { api, journal, random } = this.#options;
    const pages: Page[] = [];
    const limit = trims ? EVENTS_IN_PAGE_OF_BURSTS : EVENTS_IN_PAGE;
    while (!pages.at(-1)?.ended && !signal.aborted) {
      const after = pages.at(-1)?.lastEventId;
      const query = `limit=${limit}&wait=${WAIT_SECONDS}${after ? `&after=${after}` : ""}`;
      const { json } = await api.send<api.EventPage>(this.#origin(), {
        method: "GET",
        path: `/v1/sessions/${session}/events?${query}`,
        headers: { accept: "application/json" },
      });
      if (json) {
        const { gap, ...page } = json;
        pages.push({ ...page, after, at: journal.tick(), ...(gap && { gap: gapIn(gap) }) });
      } else await sleep(RETRY_MS);
      // The script falls behind, now and then.
      if (trims && random.chance(BURSTS)) await sleep(random.next() * LONGEST_STAY_MS);
    }
    return pages;
  }

  /** The status for a client that has seen the end. */
  async #comeBack(session: string, endId: string): Promise<number | undefined> {
    const until = performance.now() + PATIENCE_MS;
    let status: number | undefined;
    while ((status === undefined || status === 503) && performance.now() < until) {
      if (status !== undefined) await sleep(RETRY_MS);
      const path = `/v1/sessions/${session}/events`;
      const response = await fetch(this.#options.pageOrigin + path, {
        headers: { "last-event-id": endId },
      }).catch(() => undefined);
      await response?.body?.cancel();
      if (response) ({ status } = response);
      else await sleep(RETRY_MS);
    }
    return status;
  }

  #origin(): string {
    return this.#options.random.pick(this.#options.origins);
  }
}
