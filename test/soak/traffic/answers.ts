/**
 * Answers as a model gives them: a session is published to under keys and then ended. A page that
 * keeps no id reloads meanwhile, and a script reads the same as JSON.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../support/fuzz/random.ts";
import { SseReader } from "../../support/sse-reader.ts";
import type { Event, Page, Reload } from "../history.ts";
import type { Journal } from "../journal.ts";
import type { Api } from "./api.ts";
import { atRate, caughtUpOnInput } from "./pace.ts";
import { MOST_TRIES, publish } from "./publishers.ts";
import type { SessionTraffic } from "./sessions.ts";

/** The most events of an answer, and the most milliseconds between two. */
const MOST_EVENTS = 20;
const LONGEST_PAUSE_MS = 150;
/** The most milliseconds that a page stays. */
const LONGEST_STAY_MS = 1200;
const EVENTS_IN_PAGE = 3;
const WAIT_SECONDS = 0.5;
/** Milliseconds after which a reader gives up, counted from the acknowledged end. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 200;
/** About the seconds that one answer takes. */
const ANSWER_SECONDS = 4;

export interface AnswerTrafficOptions {
  readonly journal: Journal;
  readonly api: Api;
  readonly random: Random;
  readonly sessions: SessionTraffic;
  readonly origins: readonly string[];
  /**
   * The URL for the page, without a relay: what a relay took counts as read if it is held up for
   * half a second, and the page leaves meanwhile. A page is cut by the service's own ends.
   */
  readonly pageOrigin: string;
  /** Events that a log retains: an answer has no more. */
  readonly retained: number;
}

interface PageJson {
  readonly events: readonly Event[];
  readonly lastEventId: string;
  readonly ended: boolean;
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
    const session = await this.#options.sessions.createFor();
    if (session === undefined) return;
    const giveUp = new AbortController();
    const writing = this.#write(session).finally(() => {
      setTimeout(() => giveUp.abort(), PATIENCE_MS).unref();
    });
    const [endIds, reloads, pages] = await Promise.all([
      writing,
      this.#reload(session, giveUp.signal),
      this.#read(session, giveUp.signal),
    ]);
    const [endId] = endIds;
    // The page once more, as a late reader opens it.
    const late = endId === undefined ? [] : await this.#reload(session, giveUp.signal);
    const afterEnd = endId === undefined ? undefined : await this.#comeBack(session, endId);
    const streams = [...reloads, ...late];
    this.#options.journal.answers.push({ session, endIds, streams, pages, afterEnd });
  }

  /** Publishes and ends. Returns the ids in the answers to the end, which is asked for twice. */
  async #write(session: string): Promise<string[]> {
    const { journal, api, random, retained } = this.#options;
    const count = 1 + random.below(Math.min(MOST_EVENTS, retained));
    for (let n = 0; n < count; n++) {
      await sleep(random.next() * LONGEST_PAUSE_MS);
      const [publisher, origin] = ["the model", this.#origin()];
      const one = { session, publisher, origin, events: 1, tries: MOST_TRIES };
      await publish({ journal, api }, one);
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

  /** Opens stream after stream, until one has come to the end. */
  async #reload(session: string, signal: AbortSignal): Promise<Reload[]> {
    const reloads: Reload[] = [];
    while (reloads.at(-1)?.endId === undefined && !signal.aborted) {
      const reload = await this.#visit(session);
      if (reload) reloads.push(reload);
      else await sleep(RETRY_MS);
    }
    return reloads;
  }

  /** One visit of a page; undefined if the service did not answer. */
  async #visit(session: string): Promise<Reload | undefined> {
    const { pageOrigin, random, journal } = this.#options;
    const leave = new AbortController();
    const events: Event[] = [];
    let endId: string | undefined;
    void sleep(random.next() * LONGEST_STAY_MS, undefined, { signal: leave.signal })
      .then(caughtUpOnInput)
      .then(() => leave.abort())
      .catch(() => {});
    try {
      const response = await fetch(`${pageOrigin}/v1/sessions/${session}/events`, {
        signal: leave.signal,
      });
      if (response.status !== 200) {
        await response.body?.cancel();
        if (response.status !== 503) journal.surprise(`following an answer: ${response.status}`);
        return undefined;
      }
      const reader = new SseReader(response.body as unknown as ReadableStream<Uint8Array>);
      for (;;) {
        const [frame] = await reader.take(1);
        if (!frame) break;
        if (frame.event === "ended") endId = frame.id;
        else events.push({ id: frame.id ?? "", data: frame.data });
      }
    } catch {
      // It left, or was cut.
    }
    leave.abort();
    return { events, endId };
  }

  /** Reads page after page until one says that nothing follows. */
  async #read(session: string, signal: AbortSignal): Promise<Page[]> {
    const { api } = this.#options;
    const pages: Page[] = [];
    while (!pages.at(-1)?.ended && !signal.aborted) {
      const after = pages.at(-1)?.lastEventId;
      const query = `limit=${EVENTS_IN_PAGE}&wait=${WAIT_SECONDS}${after ? `&after=${after}` : ""}`;
      const { json } = await api.send<PageJson>(this.#origin(), {
        method: "GET",
        path: `/v1/sessions/${session}/events?${query}`,
        headers: { accept: "application/json" },
      });
      if (json) pages.push(json);
      else await sleep(RETRY_MS);
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
