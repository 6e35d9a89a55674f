import { describe, expect, it } from "vitest";
import { HoldfastClient } from "../../../src/client/client.ts";
import { HoldfastError } from "../../../src/client/error.ts";
import type { Followed, FollowOptions } from "../../../src/client/follow.ts";
import type { HoldfastClientOptions } from "../../../src/client/service.ts";
import {
  away,
  ended,
  event,
  hang,
  problem,
  refusal,
  ScriptedService,
  stream,
  TestTiming,
  type Asked,
  type Step,
} from "../../support/scripted-service.ts";

const ID = "0b9c2a34-1111-4222-8333-444455556666";
const OPENING = "retry: 1000\nid: e0\nretry: 1500\n\n";
const END = { type: "end", reason: "ended" };

function startWith(
  { client: options, ...rest }: FollowOptions & { client?: Partial<HoldfastClientOptions> },
  ...steps: readonly Step[]
) {
  const service = new ScriptedService(...steps);
  const timing = new TestTiming();
  const { fetch } = service;
  const client = new HoldfastClient({ url: "https://h.example", fetch, ...options }, timing);
  return { items: client.follow(ID, rest), service, timing };
}

const start = (...steps: readonly Step[]) => startWith({}, ...steps);

/** All items; an error that ends them comes last. */
async function all(items: AsyncIterable<Followed>): Promise<unknown[]> {
  const seen: unknown[] = [];
  try {
    for await (const item of items) seen.push(item);
  } catch (failure) {
    seen.push(failure);
  }
  return seen;
}

const item = (id: string, data: string, name = "message") => ({
  type: "event",
  id,
  event: name,
  data,
});

const asked = ({ url, headers }: Asked) => ({
  query: Object.fromEntries(url.searchParams),
  id: headers.get("last-event-id"),
  authorization: headers.get("authorization"),
});

describe("follow", () => {
  it("gives events, gaps and the end, each with all that it has", async () => {
    const { items, service } = start(
      stream([
        OPENING,
        event("e1", "one\ntwo €"),
        ": keep-alive\n",
        event("e2", '{"n":1}', "named"),
        'event: gap\ndata: {"requested":null,"earliest":"e4"}\nid: e3\n\n',
        event("e4", "four") + event("e5", ""),
        ended("e6"),
        event("e7", "after the end"),
      ]),
    );
    const seen = await all(items);
    expect(seen).toEqual([
      item("e1", "one\ntwo €"),
      item("e2", '{"n":1}', "named"),
      { type: "gap", requested: null, earliest: "e4" },
      item("e4", "four"),
      item("e5", ""),
      END,
    ]);
    expect((seen[1] as { json(): unknown }).json()).toEqual({ n: 1 });
    expect(() => (seen[0] as { json(): unknown }).json()).toThrow(SyntaxError);
    expect(service.last).toMatchObject({ method: "GET" });
    expect(service.last.url.href).toBe(`https://h.example/v1/sessions/${ID}/events`);
    expect(service.last.headers.get("accept")).toBe("text/event-stream");
    // The connection is given up with the last item.
    expect(service.last.signal.aborted).toBe(true);
  });

  it.each(["expired", "deleted"])("says that the session was %s", async (reason) => {
    const { items } = start(stream([OPENING, `event: ${reason}\ndata: {"id":"s"}\n\n`]));
    expect(await all(items)).toEqual([{ type: "end", reason }]);
  });

  it("asks for nothing before its first item is", async () => {
    const { items, service } = start(stream([ended("e1")]));
    expect(service.asked).toEqual([]);
    await all(items);
    expect(service.asked).toHaveLength(1);
  });

  it("resumes after the last whole event, wherever a connection ends", async () => {
    const { items, service, timing } = start(
      stream([OPENING], "break"),
      stream([OPENING, event("e1", "one"), "data: two\nid: e2\n"], "break"),
      stream([event("e2", "two"), event("e3", "three").slice(0, -1)]),
      stream([event("e3", "three"), ended("e4")]),
    );
    expect(await all(items)).toEqual([
      item("e1", "one"),
      item("e2", "two"),
      item("e3", "three"),
      END,
    ]);
    expect(service.asked.map(({ headers }) => headers.get("last-event-id"))).toEqual([
      null,
      "e0",
      "e1",
      "e2",
    ]);
    // As long as the stream's last `retry` says.
    expect(timing.waits).toEqual([1500, 1500, 1500]);
  });

  it("begins where it is told to, and resumes from there", async () => {
    const { items, service } = startWith(
      { lastEventId: "e7", from: "earliest" },
      away,
      stream([ended("e9")]),
    );
    await all(items);
    expect(service.asked.map(asked)).toEqual([
      { query: {}, id: "e7", authorization: null },
      { query: {}, id: "e7", authorization: null },
    ]);
    const second = startWith({ from: "earliest" }, stream([OPENING]), stream([ended("e9")]));
    await all(second.items);
    expect(second.service.asked.map(asked)).toMatchObject([
      { query: { from: "earliest" }, id: null },
      { query: {}, id: "e0" },
    ]);
  });

  it("ends at a 204: the end was seen before", async () => {
    const { items } = startWith({ lastEventId: "e9" }, () => new Response(null, { status: 204 }));
    expect(await all(items)).toEqual([END]);
  });

  it("outlasts whatever passes, waiting longer and longer, and soon again after a success", async () => {
    const { items, timing } = start(
      away,
      refusal(429, "too_many_writers", { "retry-after": "5" }),
      refusal(503, "unavailable"),
      () => new Response("<h1>Bad gateway</h1>", { status: 502 }),
      stream([OPENING]),
      away,
      stream([ended("e1")]),
    );
    expect(await all(items)).toEqual([END]);
    expect(timing.waits).toEqual([1000, 5000, 4000, 8000, 1500, 3000]);
  });

  it.each([
    [400, "invalid_session_id"],
    [401, "unauthorized"],
    [403, "forbidden"],
    [404, "session_not_found"],
  ])("ends at what does not pass, and says so: %i %s", async (status, code) => {
    const { items, service } = start(stream([OPENING, event("e1", "one")]), refusal(status, code));
    const [first, error, ...more] = await all(items);
    expect(first).toEqual(item("e1", "one"));
    expect(error).toBeInstanceOf(HoldfastError);
    expect(error).toMatchObject({ status, code });
    expect(more).toEqual([]);
    expect(service.asked).toHaveLength(2);
    expect(await items.next()).toEqual({ done: true, value: undefined });
  });

  it("ends at an answer that is no stream", async () => {
    const page = () => new Response("<h1>Hi</h1>", { headers: { "content-type": "text/html" } });
    const { items } = start(page);
    expect(await all(items)).toMatchObject([{ status: 200, code: "unexpected_answer" }]);
  });

  it("ends at an event that would fill the memory", async () => {
    const part = `data: ${"x".repeat(1024 * 1024)}\n`;
    const { items } = start(stream([OPENING, event("e1", "one"), ...Array(17).fill(part)], "stay"));
    expect(await all(items)).toMatchObject([item("e1", "one"), { code: "event_too_large" }]);
  });

  it("keeps no shorter pause than a tenth of a second, and no longer one than ten minutes", async () => {
    const { items, timing } = start(
      stream(["retry: 0\n\n"]),
      stream(["retry: 99999999999\n\n"]),
      stream([ended("e1")]),
    );
    await all(items);
    expect(timing.waits).toEqual([100, 600_000]);
  });

  it("spreads the clients of a service that comes back", async () => {
    const { items, timing } = start(stream([OPENING]), stream([ended("e1")]));
    timing.chance = 0.5;
    await all(items);
    expect(timing.waits).toEqual([1875]);
  });

  it("tells when it is open, and why it is not", async () => {
    const told: unknown[] = [];
    const { items } = startWith(
      {
        onOpen: () => told.push("open"),
        onRetry: ({ code, status }, waitMs) => told.push([status, code, waitMs]),
      },
      refusal(503, "unavailable"),
      stream([OPENING], "break"),
      stream([ended("e1")]),
    );
    await all(items);
    expect(told).toEqual([[503, "unavailable", 1000], "open", [0, "no_answer", 1500], "open"]);
  });

  it("passes on what its callbacks throw", async () => {
    const onOpen = () => {
      throw new RangeError("broken");
    };
    const { items, service } = startWith({ onOpen }, stream([OPENING]));
    expect(await all(items)).toEqual([new RangeError("broken")]);
    expect(service.last.signal.aborted).toBe(true);
  });

  it.each([
    [{ lastEventId: "a\nb" }, /^lastEventId: /],
    [{ silenceMs: 0 }, /^silenceMs: /],
    [{ silenceMs: NaN }, /^silenceMs: /],
  ])("refuses %j at once", (options, message) => {
    expect(() => startWith(options)).toThrow(message);
  });
});

describe("silence", () => {
  it("of 45 s ends a connection, and the next one resumes", async () => {
    const { items, service, timing } = start(
      stream([OPENING, event("e1", "one")], "stay"),
      stream([ended("e2")]),
    );
    expect(await items.next()).toMatchObject({ value: item("e1", "one") });
    const next = items.next();
    await timing.advance(0);
    await timing.advance(44_000);
    expect(service.asked).toHaveLength(1);
    await timing.advance(1000);
    expect(await next).toEqual({ done: false, value: END });
    expect(service.asked.map(asked)).toMatchObject([{ id: null }, { id: "e1" }]);
    expect(service.asked[0]?.signal.aborted).toBe(true);
  });

  it("is over with any byte, a comment's too", async () => {
    let send!: (text: string) => void;
    const { items, service, timing } = start(() => {
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          send = (text) => controller.enqueue(new TextEncoder().encode(text));
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    });
    const next = items.next();
    for (let n = 0; n < 10; n++) {
      await timing.advance(40_000);
      send(": keep-alive\n");
      await timing.advance(0);
    }
    send(ended("e1"));
    expect(await next).toEqual({ done: false, value: END });
    expect(service.asked).toHaveLength(1);
    expect(timing.timers).toBe(0);
  });

  it("is noticed within 5 s by a machine that slept", async () => {
    const { items, timing } = start(stream([OPENING], "stay"), stream([ended("e2")]));
    const next = items.next();
    await timing.advance(0);
    // Its timers stood still for hours, and its clock did not.
    await timing.sleep(3 * 60 * 60_000);
    await timing.advance(5000);
    expect(await next).toEqual({ done: false, value: END });
  });

  it("counts while an item is awaited, and not while the loop is at work", async () => {
    const { items, service, timing } = start(
      stream([OPENING, event("e1", "one"), event("e2", "two"), ended("e3")]),
    );
    await items.next();
    expect(timing.timers).toBe(0);
    await timing.advance(10 * 60_000);
    expect(await items.next()).toMatchObject({ value: item("e2", "two") });
    expect(service.asked).toHaveLength(1);
  });

  it("before the answer is the same, and so is that of a function that gives the token", async () => {
    const never = new Promise<string>(() => {});
    const tokens = [never, "t"];
    const { items, service, timing } = startWith(
      { silenceMs: 2000, client: { token: async () => (await tokens.shift()) ?? "t" } },
      hang,
      stream([ended("e1")]),
    );
    const next = items.next();
    await timing.advance(2000);
    await timing.advance(2000);
    expect(await next).toEqual({ done: false, value: END });
    expect(service.asked).toHaveLength(2);
  });
});

describe("a slow loop", () => {
  it("slows the stream down: the next chunk is taken after the last one's events", async () => {
    let taken = 0;
    const { items } = start(({ signal }) => {
      const body = new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            taken++;
            const text = event(`e${taken}a`, "a") + event(`e${taken}b`, "b");
            controller.enqueue(new TextEncoder().encode(text));
          },
        },
        { highWaterMark: 0 },
      );
      signal.addEventListener("abort", () => {});
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    });
    const ids: unknown[] = [];
    for await (const one of items) {
      ids.push(one.type === "event" && one.id);
      await new Promise(setImmediate);
      expect(taken).toBe(Math.ceil(ids.length / 2));
      if (ids.length === 5) break;
    }
    expect(ids).toEqual(["e1a", "e1b", "e2a", "e2b", "e3a"]);
  });
});

describe("leaving", () => {
  it("a loop ends its connection", async () => {
    const { items, service, timing } = start(
      stream([OPENING, event("e1", "one"), event("e2", "two")], "stay"),
    );
    for await (const one of items) {
      expect(one).toEqual(item("e1", "one"));
      break;
    }
    expect(service.last.signal.aborted).toBe(true);
    expect(timing.timers).toBe(0);
    expect(await items.next()).toEqual({ done: true, value: undefined });
  });

  it("ends the body of a fetch that hears no signal", async () => {
    let cancelled = false;
    const { items } = start(() => {
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(new TextEncoder().encode(event("e1", "one"))),
        cancel: () => {
          cancelled = true;
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    });
    await items.next();
    await items.return();
    expect(cancelled).toBe(true);
  });

  it("works while an item is awaited, and before the first", async () => {
    const { items, service, timing } = start(stream([OPENING], "stay"));
    const next = items.next();
    await timing.advance(0);
    expect(await items.return()).toEqual({ done: true, value: undefined });
    expect(await next).toEqual({ done: true, value: undefined });
    expect(service.last.signal.aborted).toBe(true);
    const other = start(stream([OPENING]));
    await other.items.return();
    expect(await other.items.next()).toEqual({ done: true, value: undefined });
    expect(other.service.asked).toEqual([]);
  });

  it("comes with the block's end, by `await using`", async () => {
    const { items, service } = start(stream([OPENING, event("e1", "one")], "stay"));
    const block = async () => {
      await using following = items;
      await following.next();
      throw new Error("the block failed");
    };
    await expect(block()).rejects.toThrow("the block failed");
    expect(service.last.signal.aborted).toBe(true);
  });

  const reason = new Error("enough");

  it("by a signal throws its reason, wherever the client is", async () => {
    const never = new Promise<string>(() => {});
    const opened = stream([OPENING], "stay");
    const cases: [FollowOptions & { client?: Partial<HoldfastClientOptions> }, Step][] = [
      [{ ticket: () => never }, opened],
      [{ client: { token: () => never } }, opened],
      [{}, hang],
      [{}, opened],
    ];
    for (const [options, step] of cases) {
      const stop = new AbortController();
      const { items, timing } = startWith({ ...options, signal: stop.signal }, step);
      const next = items.next();
      await timing.advance(0);
      stop.abort(reason);
      await expect(next).rejects.toBe(reason);
      expect(timing.timers).toBe(0);
    }
    const stop = new AbortController();
    const onRetry = () => stop.abort(reason);
    const { items, service } = startWith({ onRetry, signal: stop.signal }, away, opened);
    await expect(items.next()).rejects.toBe(reason);
    expect(service.asked).toHaveLength(1);
  });

  it("by a signal ends the connection while the loop is at work, and hands over nothing more", async () => {
    const stop = new AbortController();
    const { items, service } = startWith(
      { signal: stop.signal },
      stream([event("e1", "one") + event("e2", "two")], "stay"),
    );
    await items.next();
    stop.abort(reason);
    expect(service.last.signal.aborted).toBe(true);
    await expect(items.next()).rejects.toBe(reason);
  });

  it("by a signal that has aborted sends nothing", async () => {
    const { items, service } = startWith({ signal: AbortSignal.abort(reason) }, stream([OPENING]));
    await expect(items.next()).rejects.toBe(reason);
    expect(service.asked).toEqual([]);
  });
});

describe("the credential of a stream", () => {
  it("is asked for at each connection, and once more after a 401", async () => {
    let n = 0;
    const no = refusal(401, "unauthorized");
    const { items, service, timing } = startWith(
      { client: { token: () => `t${++n}` } },
      stream([OPENING]),
      no,
      stream([OPENING]),
      no,
      stream([OPENING]),
      no,
      no,
    );
    expect(await all(items)).toMatchObject([{ status: 401 }]);
    expect(service.asked.map(({ headers }) => headers.get("authorization"))).toEqual(
      [1, 2, 3, 4, 5, 6, 7].map((one) => `Bearer t${one}`),
    );
    // A new token needs no pause.
    expect(timing.waits).toEqual([1500, 1500, 1500]);
  });

  it("is a ticket in the URL, with the id beside it, so that a page needs no preflight", async () => {
    let n = 0;
    const { items, service } = startWith(
      { client: { token: "t" }, ticket: () => `k${++n}`, from: "earliest" },
      refusal(401, "unauthorized"),
      stream([OPENING]),
      stream([ended("e1")]),
    );
    expect(await all(items)).toEqual([END]);
    expect(service.asked.map(asked)).toEqual([
      { query: { ticket: "k1", from: "earliest" }, id: null, authorization: null },
      { query: { ticket: "k2", from: "earliest" }, id: null, authorization: null },
      { query: { ticket: "k3", lastEventId: "e0" }, id: null, authorization: null },
    ]);
    expect([...service.last.headers.keys()]).toEqual(["accept"]);
  });

  it("ends with the second 401 to a ticket, or the first to one that cannot be had anew", async () => {
    const no = refusal(401, "unauthorized");
    const first = startWith({ ticket: () => "k" }, no, no);
    expect(await all(first.items)).toMatchObject([{ status: 401 }]);
    expect(first.service.asked).toHaveLength(2);
    // A token's function gives no ticket.
    const second = startWith({ ticket: "k", client: { token: () => "t" } }, no);
    expect(await all(second.items)).toMatchObject([{ status: 401 }]);
    expect(second.service.asked).toHaveLength(1);
  });

  it("may be the answer of `ticket()`, or the response of a route that passes it on", async () => {
    const given = { ticket: "k", expiresAt: "2026-11-29T10:00:00Z", url: "https://x.example" };
    for (const ticket of [() => given, async () => Response.json(given)]) {
      const { items, service } = startWith({ ticket }, stream([ended("e1")]));
      expect(await all(items)).toEqual([END]);
      expect(service.last.url.searchParams.get("ticket")).toBe("k");
    }
  });

  it("is asked for again later where it failed for a passing reason, and otherwise is the end", async () => {
    const answers: (() => Response | string)[] = [
      () => {
        throw new TypeError("fetch failed");
      },
      () => problem(503, "unavailable", { "retry-after": "9" }),
      () => new Response("busy", { status: 500 }),
      () => "k",
    ];
    const { items, timing } = startWith(
      { ticket: async () => answers.shift()!() },
      stream([ended("e1")]),
    );
    expect(await all(items)).toEqual([END]);
    expect(timing.waits).toEqual([1000, 9000, 4000]);
    for (const [ticket, expected] of [
      [() => problem(404, "session_not_found"), { status: 404, code: "session_not_found" }],
      [() => new Response("no", { status: 403 }), { status: 403, code: "unexpected_answer" }],
      [() => Promise.reject(new HoldfastError(403, "forbidden", "Log in.")), { status: 403 }],
      [() => "", { status: 401 }],
      [() => undefined as unknown as string, { status: 401 }],
      [() => null as unknown as string, { status: 401 }],
      [() => Response.json([]), { status: 401 }],
    ] as const) {
      const { items, service } = startWith({ ticket });
      expect(await all(items)).toMatchObject([expected]);
      expect(service.asked).toEqual([]);
    }
  });
});

it("a gap that is none is an event like others", async () => {
  const { items } = start(stream(["event: gap\ndata: mine\nid: e1\n\n", ended("e2")]));
  expect(await all(items)).toEqual([item("e1", "mine", "gap"), END]);
});
