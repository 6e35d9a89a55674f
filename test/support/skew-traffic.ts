/** Calls every operation that reaches an object, and remembers what was acknowledged. */
import { isDeepStrictEqual } from "node:util";
import { INITIALIZE, messagesOf, post, readerOf, toolCall, type Rpc } from "./mcp/client.ts";
import type { Service } from "./service.ts";
import { lastEventIdIn, type Frame, type SseReader } from "./sse-reader.ts";

/** A session as its acknowledged calls left it. */
interface Kept {
  readonly id: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly data: unknown;
  readonly events: readonly { readonly id: string; readonly data: string }[];
  readonly ended: boolean;
}

/** A session of an MCP client, with the stream of one call and the place at which it was left. */
interface KeptMcp {
  readonly headers: Readonly<Record<string, string>>;
  readonly place: string;
  /** Messages of that stream after the place. */
  readonly rest: readonly Rpc[];
}

/** A refusal with 503 and Retry-After. The rest of the traffic in that session is left out. */
class Refused extends Error {}

type Call = readonly [
  operation: string,
  method: string,
  path: string,
  body?: unknown,
  headers?: Readonly<Record<string, string>>,
];

const JSON_TYPE = { "content-type": "application/json" };
const AS_JSON = { accept: "application/json" };

export class SkewTraffic {
  readonly #service: Service;
  readonly #kept: Kept[] = [];
  readonly #gone: string[] = [];
  readonly #mcp: KeptMcp[] = [];
  #n = 0;
  /** Operations that were carried out, and those that were refused, since the last `run` began. */
  readonly done = new Set<string>();
  readonly refused = new Set<string>();

  constructor(service: Service) {
    this.#service = service;
  }

  /** Calls each operation. Rejects for an answer that is neither right nor a 503 with Retry-After. */
  async run(): Promise<void> {
    this.done.clear();
    this.refused.clear();
    await this.#each(
      () => this.#session(),
      () => this.#endedSession(),
      () => this.#deletedSession(),
      () => this.#revokedSession(),
      () => this.#mcpSession(),
      () => this.#legacyMcp(),
    );
  }

  /** Checks that everything acknowledged is still there. Returns the differences. */
  async losses(): Promise<string[]> {
    const found = await Promise.all([
      ...this.#kept.map((kept) => this.#lossOf(kept)),
      ...this.#gone.map(async (id) => {
        const { status } = await this.#service.fetch(`/v1/sessions/${id}`);
        return status === 404 ? [] : [`${id} was ended, and answers ${status}`];
      }),
      ...this.#mcp.map((kept) => this.#mcpLossOf(kept)),
    ]);
    return found.flat();
  }

  async #each(...parts: readonly (() => Promise<void>)[]): Promise<void> {
    for (const part of parts) {
      await part().catch((failure: unknown) => {
        if (!(failure instanceof Refused)) throw failure;
      });
    }
  }

  async #session(): Promise<void> {
    const made = await this.#make({ metadata: { a: "1" }, data: { n: 1 } });
    const { id } = made;
    const path = `/v1/sessions/${id}`;
    let kept: Kept = { id, metadata: { a: "1" }, data: { n: 1 }, events: [], ended: false };
    const keep = (change: Partial<Kept>) => {
      kept = { ...kept, ...change };
      this.#kept.splice(0, this.#kept.length, ...this.#kept.filter((one) => one.id !== id), kept);
    };
    keep({});
    await this.#json("readSession", "GET", path);
    await this.#json("putSession", "PUT", path, { metadata: { a: "2" }, data: { n: 2 } });
    keep({ metadata: { a: "2" }, data: { n: 2 } });
    await this.#json("patchSession", "PATCH", path, { metadata: { b: "3" } });
    keep({ metadata: { a: "2", b: "3" } });
    const publish = async (texts: readonly string[], key?: string) => {
      const body = texts.map((data) => ({ data }));
      const headers = key === undefined ? {} : { "idempotency-key": key };
      return this.#json<{ ids: string[] }>(
        "publishEvents",
        "POST",
        `${path}/events`,
        body,
        headers,
      );
    };
    const published = (ids: readonly string[], texts: readonly string[]) =>
      keep({
        events: [...kept.events, ...ids.map((one, n) => ({ id: one, data: texts[n] ?? "" }))],
      });
    published((await publish(["one", "two"])).ids, ["one", "two"]);
    const keyed = await publish(["three"], "key");
    published(keyed.ids, ["three"]);
    same("a publish repeated under its key", (await publish(["three"], "key")).ids, keyed.ids);

    const reader = await this.#follow(`${path}/events`);
    const first = await reader.take(3);
    same(
      "events of a stream",
      first.map(({ data }) => data),
      ["one", "two", "three"],
    );
    published((await publish(["live"])).ids, ["live"]);
    const [live] = await reader.take(1);
    same("a live event", live?.data, "live");
    await reader.leave();
    const again = await this.#follow(`${path}/events`, { "last-event-id": first[1]?.id ?? "" });
    same(
      "a resumed stream",
      (await again.take(2)).map(({ data }) => data),
      ["three", "live"],
    );
    await again.leave();

    const waits = this.#json<{ events: Frame[] }>(
      "followEvents",
      "GET",
      `${path}/events?wait=20&after=${live?.id}`,
      undefined,
      AS_JSON,
    );
    // If the publish is refused, nobody looks at what waited.
    waits.catch(() => undefined);
    published((await publish(["news"])).ids, ["news"]);
    same(
      "a page that waited",
      (await waits).events.map(({ data }) => data),
      ["news"],
    );

    const { url } = await this.#json<{ url: string }>("createTicket", "POST", `${path}/tickets`);
    const { pathname, search } = new URL(url);
    const byTicket = await this.#follow(`${pathname}${search}&from=earliest`);
    same("a stream by ticket", (await byTicket.take(1))[0]?.data, "one");
    await byTicket.leave();
    await this.#send("disconnectSession", "POST", `${path}/disconnect`);
    await this.#untilListed(id);
  }

  /** The directory follows within moments. */
  async #untilListed(id: string): Promise<void> {
    type List = { readonly sessions: readonly { readonly id: string }[] };
    for (let tries = 0; tries < 100; tries++) {
      const list = await this.#json<List>("listSessions", "GET", "/v1/sessions?limit=200");
      const { count } = await this.#json<{ count: number }>(
        "countSessions",
        "GET",
        "/v1/sessions/count",
      );
      if (count > 0 && list.sessions.some((one) => one.id === id)) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`${id} is not listed`);
  }

  async #endedSession(): Promise<void> {
    const { id } = await this.#make({});
    const path = `/v1/sessions/${id}`;
    const last = await this.#json<{ id: string }>("endStream", "POST", `${path}/end`, {
      data: "last",
    });
    same("a stream that ended twice", await this.#json("endStream", "POST", `${path}/end`), last);
    const page = await this.#json<{ events: Kept["events"] }>(
      "followEvents",
      "GET",
      `${path}/events`,
      undefined,
      AS_JSON,
    );
    this.#kept.push({ id, metadata: {}, data: undefined, events: page.events, ended: true });
  }

  async #deletedSession(): Promise<void> {
    const { id } = await this.#make({});
    const reader = await this.#follow(`/v1/sessions/${id}/events`);
    await this.#send("deleteSession", "DELETE", `/v1/sessions/${id}`);
    this.#gone.push(id);
    same("the last frame of a deleted session", (await reader.rest()).at(-1)?.event, "deleted");
  }

  async #revokedSession(): Promise<void> {
    const subject = `subject ${this.#n}`;
    const { id } = await this.#make({ subject });
    await this.#untilListed(id);
    const query = `subject=${encodeURIComponent(subject)}`;
    const path = `/v1/sessions?${query}`;
    const { deleted } = await this.#json<{ deleted: number }>("revokeSessions", "DELETE", path);
    same("sessions that were revoked", deleted, 1);
    this.#gone.push(id);
  }

  async #mcpSession(): Promise<void> {
    const opened = await this.#mcpPost("mcp initialize", INITIALIZE);
    await opened.text();
    const headers = {
      "mcp-session-id": opened.headers.get("mcp-session-id") ?? "",
      "mcp-protocol-version": "2025-11-25",
    };
    const initialized = { jsonrpc: "2.0", method: "notifications/initialized" };
    await this.#mcpPost("mcp notification", initialized, headers);
    await this.#echo(headers);
    const standalone = readerOf(
      await this.#answer("mcp standalone", "GET", "/mcp", undefined, {
        ...headers,
        accept: "text/event-stream",
      }),
    );
    await standalone.leave();
    const call = {
      ...toolCall(2, "count"),
      params: {
        name: "count",
        arguments: { steps: 5, seconds: 1 },
        _meta: { progressToken: "count" },
      },
    };
    const stream = readerOf(await this.#mcpPost("mcp stream", call, headers));
    await stream.until(/"progress":1/);
    const place = lastEventIdIn(stream.text) ?? "";
    await stream.leave();
    const rest = await this.#resume(headers, place);
    same("the result of a call that was resumed", rest.at(-1)?.id, 2);
    this.#mcp.push({ headers, place, rest });

    const other = await this.#mcpPost("mcp initialize", INITIALIZE);
    await other.text();
    const sid = other.headers.get("mcp-session-id") ?? "";
    const gone = { "mcp-session-id": sid, "mcp-protocol-version": "2025-11-25" };
    await this.#answer("mcp end", "DELETE", "/mcp", undefined, gone);
    this.#gone.push(sid);
  }

  async #echo(headers: Readonly<Record<string, string>>): Promise<void> {
    const answer = await this.#mcpPost("mcp call", toolCall(1, "echo", { text: "hello" }), headers);
    const text = await answer.text();
    if (!text.includes("hello")) throw new Error(`a call was answered ${text}`);
  }

  async #resume(headers: Readonly<Record<string, string>>, place: string): Promise<Rpc[]> {
    const accept = "text/event-stream";
    const resuming = { ...headers, accept, "last-event-id": place };
    const reader = readerOf(await this.#answer("mcp resume", "GET", "/mcp", undefined, resuming));
    return messagesOf(await reader.rest());
  }

  async #legacyMcp(): Promise<void> {
    const reader = await this.#follow("/sse", {}, "legacy stream");
    const [endpoint] = await reader.take(1);
    const send = (operation: string, message: object) =>
      this.#send(operation, "POST", endpoint?.data ?? "", message);
    await send("legacy initialize", INITIALIZE);
    await reader.until(/"id":"init"/);
    await send("legacy call", toolCall(1, "echo", { text: "hello" }));
    await reader.until(/hello/);
    await reader.leave();
  }

  async #lossOf({ id, metadata, data, events, ended }: Kept): Promise<string[]> {
    const path = `/v1/sessions/${id}`;
    const there = await this.#service.fetch(path);
    const page = await this.#service.fetch(`${path}/events`, { headers: AS_JSON });
    if (!there.ok || !page.ok) return [`${id} answers ${there.status} and ${page.status}`];
    const session = (await there.json()) as Kept;
    const read = (await page.json()) as Kept;
    return [
      ...differing(`metadata of ${id}`, session.metadata, metadata),
      ...differing(`data of ${id}`, session.data, data),
      ...differing(`events of ${id}`, read.events.map(idAndData), events.map(idAndData)),
      ...differing(`end of ${id}`, read.ended, ended),
    ];
  }

  async #mcpLossOf({ headers, place, rest }: KeptMcp): Promise<string[]> {
    await this.#echo(headers);
    return differing("a call's messages", await this.#resume(headers, place), rest);
  }

  async #make(body: object): Promise<{ readonly id: string }> {
    this.#n++;
    return this.#json<{ id: string }>("createSession", "POST", "/v1/sessions", body);
  }

  async #follow(path: string, headers = {}, operation = "followEvents"): Promise<SseReader> {
    const accept = "text/event-stream";
    return readerOf(await this.#answer(operation, "GET", path, undefined, { accept, ...headers }));
  }

  #mcpPost(operation: string, body: object, headers: Readonly<Record<string, string>> = {}) {
    return this.#judged(operation, post(`${this.#service.url}/mcp`, body, headers));
  }

  async #json<T>(...call: Call): Promise<T> {
    return (await (await this.#answer(...call)).json()) as T;
  }

  async #send(...call: Call): Promise<void> {
    await (await this.#answer(...call)).text();
  }

  #answer(...[operation, method, path, body, headers = {}]: Call): Promise<Response> {
    const asked = this.#service.fetch(path, {
      method,
      headers: { ...(body !== undefined && JSON_TYPE), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return this.#judged(operation, asked);
  }

  async #judged(operation: string, asked: Promise<Response>): Promise<Response> {
    const answer = await asked;
    if (answer.ok) {
      this.done.add(operation);
      return answer;
    }
    const text = await answer.text();
    if (answer.status === 503 && answer.headers.has("retry-after")) {
      this.refused.add(operation);
      throw new Refused(text);
    }
    throw new Error(`${operation} answered ${answer.status} ${text}`);
  }
}

const idAndData = ({ id, data }: { readonly id: string; readonly data: string }) => ({ id, data });

function differing(what: string, found: unknown, expected: unknown): string[] {
  if (isDeepStrictEqual(found, expected)) return [];
  return [`${what}: ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`];
}

function same(what: string, found: unknown, expected: unknown): void {
  const [difference] = differing(what, found, expected);
  if (difference !== undefined) throw new Error(difference);
}
