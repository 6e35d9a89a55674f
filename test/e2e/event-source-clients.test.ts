/**
 * The clients that pages and servers follow streams with. They lose their connections at every byte,
 * and leave and come back while events are published. Each is used as its README shows it, but for two
 * that need more code of their page: `event-source-polyfill`, which is closed at `ended`, and
 * `@microsoft/fetch-event-source`, which has the settings of docs/delivery.md.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { fetchEventSource } from "@microsoft/fetch-event-source";
import { EventSource } from "eventsource";
import { createEventSource } from "eventsource-client";
import { EventSourcePolyfill } from "event-source-polyfill";
import { EventSource as UndiciEventSource } from "undici";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { HoldfastClient } from "../../src/client/client.ts";
import { openBrowser, openPage } from "../support/browser.ts";
import { numbers } from "../support/read-until.ts";
import { Relay } from "../support/relay.ts";
import { beside, shared } from "../support/scope.ts";
import { Service } from "../support/service.ts";
import { isHeldUp } from "../support/severing-relay.ts";

/** Told of each event by its name and data, and that the client connects no more by "stopped". */
type Report = (url: string, name: string, data: string) => void;
type Leave = () => void | Promise<void>;
/** Follows these streams until `leave` is called. */
type Follow = (urls: readonly string[], report: Report) => Leave | Promise<Leave>;

interface Client {
  readonly name: string;
  readonly start: () => Follow | Promise<Follow>;
}

/** The events that these tests see beside those without a name. */
const NAMES = ["message", "gap", "ended"];

/** A class that follows the standard, or means to. */
interface Source {
  readonly readyState: number;
  addEventListener(type: string, listener: (event: { readonly data?: unknown }) => void): void;
  close(): void;
}

function sources(open: (url: string) => Source, closes = false): Follow {
  return (urls, report) => {
    const opened = urls.map((url) => {
      const source = open(url);
      for (const name of NAMES) {
        source.addEventListener(name, ({ data }) => {
          report(url, name, String(data));
          if (name !== "ended" || !closes) return;
          source.close();
          report(url, "stopped", "");
        });
      }
      source.addEventListener("error", () => {
        if (source.readyState === EventSource.CLOSED) report(url, "stopped", "");
      });
      return source;
    });
    return () => opened.forEach((source) => source.close());
  };
}

/**
 * To it a 204 is a failure, the end of a body is the end of the stream, and a frame without
 * data is a message. Its page closes it at the end.
 */
const byFetch: Follow = (urls, report) => {
  const leave = new AbortController();
  for (const url of urls) {
    const complete = new AbortController();
    let handed = "";
    const followed = fetchEventSource(url, {
      // Else it leaves while its page is hidden.
      openWhenHidden: true,
      signal: AbortSignal.any([leave.signal, complete.signal]),
      // The client takes an id at its line's end. Cut there, it would come back with the id of an event
      // that it has not handed over, so this has it come back with the last id that it has handed over.
      fetch: (input, init) => {
        const headers = new Headers(init?.headers);
        if (handed !== "") headers.set("last-event-id", handed);
        else headers.delete("last-event-id");
        return fetch(input, { ...init, headers });
      },
      onmessage: ({ id, event, data }) => {
        if (id !== "") handed = id;
        if (data !== "") report(url, event === "" ? "message" : event, data);
        if (event === "ended") complete.abort();
      },
      onclose: () => {
        throw new Error("the stream goes on");
      },
    });
    void followed.then(() => complete.signal.aborted && report(url, "stopped", ""));
  }
  return () => leave.abort();
};

const byClient: Follow = (urls, report) => {
  const opened = urls.map((url) => {
    const source = createEventSource({
      url,
      onMessage: ({ event, data }) => report(url, event ?? "message", data),
      // The client calls this for every connection, and closes right after the last.
      onDisconnect: () =>
        queueMicrotask(() => {
          if (source.readyState === "closed") report(url, "stopped", "");
        }),
    });
    return source;
  });
  return () => opened.forEach((source) => source.close());
};

const byHoldfast: Follow = (urls, report) => {
  const leave = new AbortController();
  for (const url of urls) {
    const [, base = "", id = ""] = /^(.*)\/v1\/sessions\/([^/]*)/.exec(url) ?? [];
    const from = url.endsWith("?from=earliest") ? "earliest" : undefined;
    const items = new HoldfastClient({ url: base }).follow(id, { from, signal: leave.signal });
    void (async () => {
      for await (const item of items) {
        if (item.type === "event") report(url, item.event, item.data);
        else report(url, item.type === "gap" ? "gap" : item.reason, "");
      }
      report(url, "stopped", "");
    })().catch((failure: unknown) => {
      if (!leave.signal.aborted) report(url, String(failure), "");
    });
  }
  return () => leave.abort();
};

/** Chromium's pages are of this origin. Nothing listens there. */
const PAGES = "http://localhost:8080";

const inChromium = async (): Promise<Follow> => {
  const browser = await openBrowser();
  return async (urls, report) => {
    const script = `
      for (const url of ${JSON.stringify(urls)}) {
        const say = (name, data) => report(JSON.stringify([url, name, data]));
        const source = new EventSource(url);
        for (const name of ${JSON.stringify(NAMES)}) {
          source.addEventListener(name, ({ data }) => say(name, data));
        }
        source.onerror = () => source.readyState === EventSource.CLOSED && say("stopped", "");
      }`;
    const page = await openPage(browser, `${PAGES}/page`, script, (text) =>
      report(...(JSON.parse(text) as Parameters<Report>)),
    );
    return () => page.close();
  };
};

const CLIENTS: readonly Client[] = [
  { name: "eventsource", start: () => sources((url) => new EventSource(url)) },
  { name: "undici", start: () => sources((url) => new UndiciEventSource(url)) },
  {
    name: "event-source-polyfill",
    // The polyfill takes a 204 for a failure and tries again for ever, so its page closes it at the end.
    start: () => sources((url) => new EventSourcePolyfill(url), true),
  },
  { name: "@microsoft/fetch-event-source", start: () => byFetch },
  { name: "eventsource-client", start: () => byClient },
  { name: "holdfast/client", start: () => byHoldfast },
  { name: "Chromium", start: inChromium },
];

/** The lines that clients printed, by stream. */
class Journal {
  readonly #said = new Map<string, string[]>();
  readonly #watchers = new Set<() => void>();

  readonly report: Report = (url, name, data) => {
    this.of(url).push(name === "message" ? data : name);
    for (const watcher of this.#watchers) watcher();
  };

  of(url: string): string[] {
    const said = this.#said.get(url) ?? [];
    this.#said.set(url, said);
    return said;
  }

  /** Resolves once this was said last. */
  until(url: string, last: string): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (this.of(url).at(-1) !== last) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }
}

const start = shared(() => Service.start({ MAX_WRITERS: "2000", ALLOWED_ORIGINS: PAGES }));

/** The length of an answer without its head, framing of chunks and all. */
async function bodyLength(service: Service, path: string): Promise<number> {
  const socket = connect(service.port, "127.0.0.1");
  let answer = "";
  socket.on("data", (data) => (answer += data.toString("latin1")));
  socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${service.port}\r\n`);
  socket.write("Connection: close\r\n\r\n");
  await once(socket, "close");
  return answer.length - answer.indexOf("\r\n\r\n") - 4;
}

/** Cuts in the head, and after every second byte of a body: half of the clients are cut at the even ones. */
function cuts(length: number, first: number): RegExp[] {
  const inHead = [0, 1, 15, 100].map((bytes) => new RegExp(`^[^]{${bytes}}`));
  const inBody = Array.from({ length: length / 2 }, (_, n) => {
    return new RegExp(`\r\n\r\n[^]{${2 * n + first}}`);
  });
  return [...inHead, ...inBody];
}

// @microsoft/fetch-event-source is made for pages, and asks for these in Node too.
beforeAll(() => {
  vi.stubGlobal("window", globalThis);
  vi.stubGlobal("document", { removeEventListener: () => {} });
});
afterAll(() => void vi.unstubAllGlobals());

/** Six share what time a busy machine has for one. */
const AT_ONCE = { timeout: 6 * 60_000 };

// Clients wait for their delay before they come back, most of the time, so they do it beside each other.
describe("cut at any byte", AT_ONCE, () => {
  it.concurrent.each(CLIENTS)(
    "$name sees every event once, in order, and stops at the end",
    beside(async (client: Client) => {
      const service = await start();
      const follow = await client.start();
      const { id } = await service.make();
      const events = ["one", "two\nlines", "drei €"];
      await service.publish(
        id,
        events.map((data) => ({ data })),
      );
      expect((await service.send("POST", `/v1/sessions/${id}/end`)).status).toBe(202);
      const path = `/v1/sessions/${id}/events?from=earliest`;
      const relays = await Promise.all(
        cuts(await bodyLength(service, path), CLIENTS.indexOf(client) % 2).map(async (cut) => {
          const relay = await Relay.to(service.port);
          relay.cutOnce(cut);
          return relay;
        }),
      );
      const journal = new Journal();
      const urls = relays.map((relay) => relay.url + path);
      const leave = await follow(urls, journal.report);
      await Promise.all(urls.map((url) => journal.until(url, "stopped")));
      for (const [n, url] of urls.entries()) {
        const answers = `after answers ${relays[n]?.statuses.join(", ")}`;
        expect(journal.of(url), answers).toEqual([...events, "ended", "stopped"]);
      }
      // A stream that was cut, the next that brought the rest, and an answer that ends the series.
      expect(Math.max(...relays.map((relay) => relay.connections))).toBeLessThanOrEqual(3);
      await leave();
    }),
  );
});

describe("leaving and coming back while events are published", AT_ONCE, () => {
  it.concurrent.each(CLIENTS)(
    "$name misses none",
    beside(async (client: Client) => {
      const service = await start();
      const follow = await client.start();
      const { id } = await service.make();
      const relay = await Relay.to(service.port);
      const url = `${relay.url}/v1/sessions/${id}/events`;
      let published = 0;
      const publish = async (count: number) => {
        for (const data of numbers(published, (published += count))) {
          expect((await service.publish(id, { data })).status).toBe(202);
        }
      };
      /** The latest event that the next reader may start with. */
      let owed = 0;
      for (const cut of [/data: 2\n/, undefined, /\r\n\r\n/, undefined, /retry: /]) {
        relay.longestCut = 0;
        if (cut) {
          relay.cutOnce(cut);
          // The events are on their way when the connection breaks: the network has taken them, and no reader.
          await publish(5);
        }
        const journal = new Journal();
        const [leave] = await Promise.all([follow([url], journal.report), publish(5)]);
        await journal.until(url, String(published - 1));
        // The reader leaves in good order while events go on.
        const leaving = performance.now();
        const gone = async () => {
          await leave();
          await relay.quiet();
          return performance.now() - leaving;
        };
        const [left] = await Promise.all([gone(), publish(5)]);
        const said = journal.of(url);
        const first = Number(said[0]);
        if (!isHeldUp(relay.longestCut)) expect(first).toBeLessThanOrEqual(owed);
        expect(said).toEqual(numbers(first, first + said.length));
        owed = isHeldUp(left) ? published : first + said.length;
      }
      expect((await service.send("POST", `/v1/sessions/${id}/end`)).status).toBe(202);
      const journal = new Journal();
      const leave = await follow([url], journal.report);
      await journal.until(url, "stopped");
      const said = journal.of(url);
      // Where the last reader was held up, all may count as taken.
      const first = said[0] === "ended" ? published : Number(said[0]);
      expect(first).toBeLessThanOrEqual(owed);
      expect(said).toEqual([...numbers(first, published), "ended", "stopped"]);
      await leave();
    }),
  );
});
