/**
 * A user of the service during an attack: publishes under keys, repeats itself until an answer
 * comes, and follows its session's events. It knows what was acknowledged, and what came.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { SseReader } from "../support/sse-reader.ts";

/** Milliseconds between two publishes, before a new try, and after which a call counts as hung. */
const PAUSE_MS = 100;
const RETRY_MS = 200;
const HANG_MS = 15_000;
/** Milliseconds for its reader to catch up, once the attack is over. */
const CATCH_UP_MS = 20_000;

interface Stored {
  readonly id: string;
  readonly data: string;
}

export interface Losses {
  /** Events that were acknowledged and are missing, those that are there twice, and one if the order is wrong. */
  readonly count: number;
  readonly wrong: readonly string[];
}

const JSON_TYPE = { "content-type": "application/json" };

export class Victim {
  readonly #url: string;
  readonly #path: string;
  readonly #over = new AbortController();
  readonly #acknowledged: Stored[] = [];
  readonly #received: Stored[] = [];
  #work: readonly Promise<void>[] = [];
  #place: string | undefined;
  hangs = 0;
  /** Milliseconds of the publish that took longest, its tries included. */
  longestMs = 0;

  private constructor(url: string, id: string) {
    this.#url = url;
    this.#path = `/v1/sessions/${id}/events`;
  }

  static async start(url: string): Promise<Victim> {
    const made = await fetch(`${url}/v1/sessions`, { method: "POST" });
    const { id } = (await made.json()) as { id: string };
    const victim = new Victim(url, id);
    victim.#work = [victim.#publish(), victim.#follow()];
    return victim;
  }

  get published(): number {
    return this.#acknowledged.length;
  }

  /** Ends its work once it has caught up. Returns what was lost, doubled or out of order, each place in words. */
  async stop(): Promise<Losses> {
    this.#over.abort();
    const [publishing, following] = this.#work;
    await publishing;
    const late = performance.now() + CATCH_UP_MS;
    while (this.#received.length < this.#acknowledged.length && performance.now() < late) {
      await sleep(PAUSE_MS);
    }
    this.#isDone = true;
    await this.#reader?.leave().catch(() => undefined);
    await following;
    const log = await this.#log();
    const streamed = differences("its stream", this.#received, this.#acknowledged);
    if (!log) return { ...streamed, wrong: [...streamed.wrong, "its log cannot be read"] };
    const logged = differences("its log", log, this.#acknowledged);
    return { count: streamed.count + logged.count, wrong: [...streamed.wrong, ...logged.wrong] };
  }

  #isDone = false;
  #reader: SseReader | undefined;

  async #publish(): Promise<void> {
    for (let n = 0; !this.#over.signal.aborted; n++) {
      const began = performance.now();
      const data = `event ${n}`;
      const id = await this.#untilPublished(data, n);
      this.longestMs = Math.max(this.longestMs, performance.now() - began);
      if (id !== undefined) this.#acknowledged.push({ id, data });
      await sleep(PAUSE_MS);
    }
  }

  /** Undefined once the attack is long over and no answer has come. */
  async #untilPublished(data: string, n: number): Promise<string | undefined> {
    for (let late = 0; late < CATCH_UP_MS / RETRY_MS;) {
      const answer = await this.#ask(this.#path, {
        method: "POST",
        headers: { ...JSON_TYPE, "idempotency-key": `key-${n}` },
        body: JSON.stringify({ data }),
      });
      if (answer?.status === 202) return ((await answer.json()) as { id: string }).id;
      await answer?.body?.cancel();
      await sleep(RETRY_MS);
      if (this.#over.signal.aborted) late++;
    }
    return undefined;
  }

  async #ask(path: string, init: RequestInit): Promise<Response | undefined> {
    try {
      return await fetch(this.#url + path, { ...init, signal: AbortSignal.timeout(HANG_MS) });
    } catch (failure) {
      if ((failure as Error).name === "TimeoutError") this.hangs++;
      return undefined;
    }
  }

  async #follow(): Promise<void> {
    while (!this.#isDone) {
      try {
        const headers = {
          accept: "text/event-stream",
          ...(this.#place !== undefined && { "last-event-id": this.#place }),
        };
        const { ok, body } = await fetch(`${this.#url}${this.#path}?from=earliest`, { headers });
        if (ok && body) await this.#read(new SseReader(body));
        else await body?.cancel();
      } catch {
        // The connection broke: it comes back with its last id.
      }
      if (!this.#isDone) await sleep(RETRY_MS);
    }
  }

  async #read(reader: SseReader): Promise<void> {
    this.#reader = reader;
    for (;;) {
      const [frame] = await reader.take(1);
      if (!frame) return;
      this.#place = frame.id ?? this.#place;
      if (frame.data.startsWith("event ") && frame.id !== undefined) {
        this.#received.push({ id: frame.id, data: frame.data });
      }
    }
  }

  /** All events in it. Undefined if the service gives no answer for long. */
  async #log(): Promise<Stored[] | undefined> {
    const events: Stored[] = [];
    for (let late = 0; late < CATCH_UP_MS / RETRY_MS;) {
      const after = events.length === 0 ? "" : `?after=${events.at(-1)?.id}`;
      const accept = { accept: "application/json" };
      const answer = await this.#ask(this.#path + after, { headers: accept });
      if (!answer?.ok) {
        await answer?.body?.cancel();
        await sleep(RETRY_MS);
        late++;
        continue;
      }
      const page = (await answer.json()) as { events: Stored[] };
      if (page.events.length === 0) return events;
      events.push(...page.events);
    }
    return undefined;
  }
}

/** Each acknowledged event once, in order; what was published and not acknowledged may be among them. */
export function differences(
  where: string,
  found: readonly Stored[],
  expected: readonly Stored[],
): Losses {
  const ids = found.map(({ id }) => id);
  const held = new Map(found.map(({ id, data }) => [id, data]));
  const lost = expected.filter(({ id, data }) => held.get(id) !== data);
  const texts = found.map(({ data }) => data);
  const doubled = texts.length - new Set(texts).size;
  const inOrder = ids.every((id, n) => n === 0 || id > (ids[n - 1] ?? ""));
  const wrong = [
    ...(lost.length > 0 ? [`${where} lacks ${lost.length}, the first is ${lost[0]?.id}`] : []),
    ...(doubled > 0 ? [`${where} has ${doubled} events twice`] : []),
    ...(inOrder ? [] : [`${where} is out of order`]),
  ];
  return { count: lost.length + doubled + (inOrder ? 0 : 1), wrong };
}
