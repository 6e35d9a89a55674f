import { describe, expect, it, onTestFinished, vi } from "vitest";
import { HoldfastClient } from "../../../src/client/client.ts";
import { HoldfastError } from "../../../src/client/error.ts";
import type { HoldfastClientOptions } from "../../../src/client/service.ts";
import {
  away,
  hang,
  json,
  problem,
  refusal,
  ScriptedService,
  TestTiming,
  type Asked,
  type Step,
} from "../../support/scripted-service.ts";

const ID = "0b9c2a34-1111-4222-8333-444455556666";
const URL_V1 = "https://h.example/v1/sessions";
const SESSION = { id: ID, metadata: {} };

function start(...steps: readonly Step[]) {
  return startWith({}, ...steps);
}

function startWith(options: Partial<HoldfastClientOptions>, ...steps: readonly Step[]) {
  const service = new ScriptedService(...steps);
  const timing = new TestTiming();
  const { fetch } = service;
  const client = new HoldfastClient({ url: "https://h.example", fetch, ...options }, timing);
  return { client, service, timing };
}

const failureOf = (work: Promise<unknown>): Promise<HoldfastError> =>
  work.then(
    () => expect.unreachable("it did not fail"),
    (failure: unknown) => failure as HoldfastError,
  );

const sent = ({ method, url, body }: Asked) => [
  method,
  url.href,
  body && (JSON.parse(body) as unknown),
];

describe("a new client", () => {
  it.each([
    "",
    "holdfast.example",
    "/holdfast",
    "ftp://h.example",
    "https://user:secret@h.example",
    "https://h.example/?a=1",
    "https://h.example/#a",
    "http://",
  ])("refuses the URL %j at once, and does not quote it", (url) => {
    const rule =
      "must be an absolute URL of http: or https:, without user, password, query and fragment";
    expect(() => new HoldfastClient({ url })).toThrow(new TypeError(`url: ${rule}`));
  });

  it("takes a path in a page", async () => {
    vi.stubGlobal("location", { href: "https://page.example/a/b?c" });
    onTestFinished(() => void vi.unstubAllGlobals());
    const { client, service } = startWith({ url: "/holdfast/" }, json(200, SESSION));
    await client.get(ID);
    expect(service.last.url.href).toBe(`https://page.example/holdfast/v1/sessions/${ID}`);
    expect(() => startWith({ url: "holdfast" })).toThrow(/^url: /);
  });

  it("refuses a fetch that is none, and a platform without one", () => {
    const url = "https://h.example";
    const fetch = "fetch" as unknown as () => Promise<Response>;
    expect(() => new HoldfastClient({ url, fetch })).toThrow(/^fetch: must be/);
    vi.stubGlobal("fetch", undefined);
    onTestFinished(() => void vi.unstubAllGlobals());
    expect(() => new HoldfastClient({ url })).toThrow(/^fetch: must be a function; this platform/);
  });

  it.each(["", "two words", "line\nbreak", "schlüssel"])(
    "refuses the token %j and does not repeat it",
    (token) => {
      const make = () => new HoldfastClient({ url: "https://h.example", token });
      expect(make).toThrow(/^token: must be visible ASCII characters, at least one$/);
    },
  );

  it("keeps the path in front of /v1, with or without a slash at its end", async () => {
    for (const url of ["https://h.example/app/hf", new URL("https://h.example/app/hf/")]) {
      const { client, service } = startWith({ url }, json(200, SESSION));
      await client.get(ID);
      expect(service.last.url.href).toBe(`https://h.example/app/hf/v1/sessions/${ID}`);
    }
  });
});

describe("the verbs", () => {
  it.each<[string, (client: HoldfastClient) => Promise<unknown>, unknown[]]>([
    ["create", (c) => c.create({ id: ID, data: 1 }), ["POST", URL_V1, { id: ID, data: 1 }]],
    ["get", (c) => c.get(ID), ["GET", `${URL_V1}/${ID}`, undefined]],
    ["get", (c) => c.get(ID, { touch: false }), ["GET", `${URL_V1}/${ID}?touch=false`, undefined]],
    ["put", (c) => c.put(ID, { data: 1 }), ["PUT", `${URL_V1}/${ID}`, { data: 1 }]],
    ["patch", (c) => c.patch(ID, { data: null }), ["PATCH", `${URL_V1}/${ID}`, { data: null }]],
    ["delete", (c) => c.delete(ID).then(() => SESSION), ["DELETE", `${URL_V1}/${ID}`, undefined]],
    ["publish", (c) => c.publish(ID, { data: 1 }), ["POST", `${URL_V1}/${ID}/events`, { data: 1 }]],
    [
      "publish",
      (c) => c.publish(ID, [{ data: 1 }]),
      ["POST", `${URL_V1}/${ID}/events`, [{ data: 1 }]],
    ],
    ["end", (c) => c.end(ID), ["POST", `${URL_V1}/${ID}/end`, {}]],
    ["end", (c) => c.end(ID, { data: 1 }), ["POST", `${URL_V1}/${ID}/end`, { data: 1 }]],
    [
      "read",
      (c) => c.read(ID, { after: "a", limit: 2, wait: 1.5 }),
      ["GET", `${URL_V1}/${ID}/events?after=a&limit=2&wait=1.5`, undefined],
    ],
    ["ticket", (c) => c.ticket(ID), ["POST", `${URL_V1}/${ID}/tickets`, undefined]],
    [
      "list",
      (c) => c.list({ subject: "a b", type: "mcp", limit: 1, cursor: "c" }),
      ["GET", `${URL_V1}?subject=a+b&type=mcp&limit=1&cursor=c`, undefined],
    ],
    ["count", (c) => c.count({ type: "sse" }), ["GET", `${URL_V1}/count?type=sse`, undefined]],
    ["revoke", (c) => c.revoke(), ["DELETE", URL_V1, undefined]],
    ["revoke", (c) => c.revoke({ subject: "ada" }), ["DELETE", `${URL_V1}?subject=ada`, undefined]],
  ])("%s is one request", async (_, call, expected) => {
    const { client, service } = start(json(200, { id: ID }));
    expect(await call(client)).toMatchObject({ id: ID });
    expect(service.asked.map(sent)).toEqual([expected]);
  });

  it("delete takes an answer without a body", async () => {
    const { client } = start(() => new Response(null, { status: 204 }));
    expect(await client.delete(ID)).toBeUndefined();
  });

  it("sessions come with their entity tag, which conditions take", async () => {
    const { client, service } = start(
      json(200, SESSION, { etag: '"a"' }),
      json(200, SESSION),
      json(200, SESSION),
      () => new Response(null, { status: 204 }),
      json(201, SESSION),
    );
    const { etag } = await client.get(ID);
    expect(etag).toBe('"a"');
    await client.put(ID, {}, { ifMatch: etag });
    await client.patch(ID, {}, { ifMatch: etag });
    await client.delete(ID, { ifMatch: etag });
    await client.put(ID, {}, { ifNoneMatch: "*" });
    const conditions = service.asked.map(({ headers }) => [
      headers.get("if-match"),
      headers.get("if-none-match"),
    ]);
    const match = ['"a"', null];
    expect(conditions).toEqual([[null, null], match, match, match, [null, "*"]]);
  });

  it.each(["", ".", "..", "count"])(
    "an id of %j, which would change the path, is refused",
    async (id) => {
      const { client, service } = start();
      expect(() => client.get(id)).toThrow(/^id: must be/);
      await expect(client.delete(id)).rejects.toThrow(/^id: must be/);
      expect(() => client.follow(id)).toThrow(/^id: must be/);
      expect(service.asked).toEqual([]);
    },
  );

  it("an id is one segment of the path", async () => {
    const { client, service } = start(json(200, SESSION));
    await client.get("../a?b#c");
    expect(service.last.url.href).toBe(`${URL_V1}/..%2Fa%3Fb%23c`);
  });

  it("a number that JSON does not have is refused, and nothing is sent", async () => {
    const { client, service } = start();
    await expect(client.publish(ID, { data: { n: [1, NaN] } })).rejects.toThrow(
      "1: JSON has no NaN",
    );
    await expect(client.publish(ID, { data: 10n })).rejects.toThrow(TypeError);
    expect(service.asked).toEqual([]);
  });

  it("a header that cannot be sent is an error at once", async () => {
    const { client, service } = start();
    await expect(client.publish(ID, { data: 1 }, { idempotencyKey: "a\nb" })).rejects.toThrow(
      TypeError,
    );
    expect(service.asked).toEqual([]);
  });
});

describe("a failure that may pass", () => {
  it.each([
    ["no network", away],
    ["a body that is cut", json200Cut],
    ["408", refusal(408, "late")],
    ["429", refusal(429, "rate_limited")],
    ["503", refusal(503, "unavailable")],
    ["a proxy's 502", () => new Response("<h1>Bad gateway</h1>", { status: 502 })],
  ])("is tried again: %s", async (_, step) => {
    const { client, service, timing } = start(step, step, json(200, SESSION));
    expect(await client.get(ID)).toMatchObject(SESSION);
    expect(service.asked).toHaveLength(3);
    expect(timing.waits).toEqual([250, 500]);
  });

  it("is waited for longer and longer, up to 45 s, and without an end", async () => {
    const { client, timing } = start(...Array.from({ length: 50 }, () => away), json(200, SESSION));
    timing.chance = 0.999;
    await client.get(ID);
    expect(timing.waits).toHaveLength(50);
    expect(timing.waits[0]).toBeCloseTo(250 * 1.4995);
    expect(Math.max(...timing.waits)).toBeLessThanOrEqual(45_000);
    expect(timing.waits.at(-1)).toBeGreaterThan(44_000);
  });

  it("is not tried again before Retry-After, in seconds or as a date; a silly one is cut", async () => {
    const { client, timing } = start(
      refusal(429, "rate_limited", { "retry-after": "7" }),
      () =>
        problem(503, "unavailable", {
          "retry-after": new Date(timing.now() + 90_000).toUTCString(),
        }),
      refusal(503, "unavailable", { "retry-after": "99999999999" }),
      refusal(503, "unavailable", { "retry-after": "soon" }),
      json(200, SESSION),
    );
    await client.get(ID);
    expect(timing.waits).toEqual([7000, 90_000, 600_000, 2000]);
  });

  it("is reported", async () => {
    const heard: unknown[] = [];
    const { client } = startWith(
      { onRetry: ({ status, code }, waitMs) => heard.push([status, code, waitMs]) },
      away,
      refusal(503, "message_channel_full"),
      json(202, {}),
    );
    await client.publish(ID, { data: 1 });
    expect(heard).toEqual([
      [0, "no_answer", 250],
      [503, "message_channel_full", 500],
    ]);
  });

  it("of the reporter itself ends the call", async () => {
    const onRetry = () => {
      throw new RangeError("broken");
    };
    const { client } = startWith({ onRetry }, away, json(200, SESSION));
    await expect(client.get(ID)).rejects.toThrow(RangeError);
  });

  it("is an answer that does not come for a minute", async () => {
    const { client, service, timing } = start(hang, json(200, SESSION));
    const got = client.get(ID);
    await timing.advance(59_000);
    expect(service.asked).toHaveLength(1);
    await timing.advance(6000);
    expect(await got).toMatchObject(SESSION);
    expect(service.asked[0]?.signal.aborted).toBe(true);
    expect(timing.timers).toBe(0);
  });
});

describe("a failure that does not pass", () => {
  it.each([
    [400, "invalid_request"],
    [403, "forbidden"],
    [404, "session_not_found"],
    [409, "stream_ended"],
    [412, "precondition_failed"],
    [413, "payload_too_large"],
    [422, "idempotency_key_reused"],
  ])("is a HoldfastError: %i %s", async (status, code) => {
    const { client, service } = start(refusal(status, code));
    const error = await failureOf(client.publish(ID, { data: 1 }));
    expect(error).toBeInstanceOf(HoldfastError);
    expect(error).toMatchObject({ status, code, detail: `Says ${code}.`, lostAnswer: false });
    expect(error.message).toBe(`${status} ${code}: Says ${code}.`);
    expect(service.asked).toHaveLength(1);
  });

  it("is a redirect: one that turned a POST into a GET would pass for a success", async () => {
    const redirect = () => new Response(null, { status: 301, headers: { location: "/" } });
    // A browser hides where it leads, and the status.
    const opaque = () =>
      Object.defineProperties(new Response(), {
        type: { value: "opaqueredirect" },
        status: { value: 0 },
        ok: { value: false },
      });
    const { client, service } = start(redirect, opaque);
    for (const status of [301, 302]) {
      const error = await failureOf(client.publish(ID, { data: 1 }));
      expect(error).toMatchObject({ status, code: "unexpected_answer" });
      expect(error.detail).toMatch(/redirects/);
    }
    expect(service.asked.map(({ redirect }) => redirect)).toEqual(["manual", "manual"]);
  });

  it("is an answer of somebody else", async () => {
    const page = () => new Response("<h1>Hi</h1>", { headers: { "content-type": "text/html" } });
    const { client } = start(page, () => new Response("<h1>No</h1>", { status: 404 }));
    expect(await failureOf(client.get(ID))).toMatchObject({
      status: 200,
      code: "unexpected_answer",
    });
    expect(await failureOf(client.get(ID))).toMatchObject({
      status: 404,
      code: "unexpected_answer",
    });
  });
});

describe("nothing is done twice", () => {
  it("a publish is repeated under one key, and two publishes have two", async () => {
    const { client, service } = start(
      away,
      refusal(503, "unavailable"),
      json(202, { id: "e", writers: 0 }),
      json(202, { id: "f", writers: 0 }),
      json(202, { id: "g", writers: 0 }),
    );
    expect(await client.publish(ID, { data: 1 })).toEqual({ id: "e", writers: 0 });
    await client.publish(ID, { data: 1 });
    await client.publish(ID, { data: 1 }, { idempotencyKey: "mine" });
    const keys = service.asked.map(({ headers }) => headers.get("idempotency-key"));
    expect(keys[0]).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    expect(keys).toEqual([keys[0], keys[0], keys[0], keys[3], "mine"]);
    expect(keys[3]).not.toBe(keys[0]);
    expect(new Set(service.asked.map(({ body }) => body)).size).toBe(1);
  });

  it("a create has one id over all its tries; if a lost one made the session, it is that", async () => {
    const { client, service } = start(
      away,
      refusal(409, "session_already_exists"),
      json(200, SESSION, { etag: '"a"' }),
    );
    expect(await client.create({ data: 1 })).toEqual({ ...SESSION, etag: '"a"' });
    const [first, second, third] = service.asked.map(sent);
    expect(second).toEqual(first);
    const { id } = (first?.[2] ?? {}) as { readonly id?: string };
    expect(third).toEqual(["PATCH", `${URL_V1}/${id}`, {}]);
  });

  it("an id of the caller's own that is there after a lost answer may be another's: 409", async () => {
    const { client, service } = start(away, refusal(409, "session_already_exists"));
    const error = await failureOf(client.create({ id: ID }));
    expect(error).toMatchObject({ status: 409, lostAnswer: true });
    expect(service.asked).toHaveLength(2);
  });

  it("a 409 to a first try is no session of this call", async () => {
    const { client } = start(
      refusal(503, "message_channel_full"),
      refusal(409, "session_already_exists"),
    );
    expect(await failureOf(client.create())).toMatchObject({ status: 409, lostAnswer: false });
  });

  it("a 412 after a lost answer says that it may be this call's own doing", async () => {
    const { client } = start(away, refusal(412, "precondition_failed"));
    const error = await failureOf(client.patch(ID, { data: 1 }, { ifMatch: '"a"' }));
    expect(error).toMatchObject({ status: 412, lostAnswer: true });
  });
});

describe("the token", () => {
  it("goes with each call, as a text or from a function", async () => {
    let n = 0;
    for (const token of ["t0", () => `t${n++}`, async () => `t${n++}`]) {
      n = 0;
      const { client, service } = startWith({ token }, json(200, SESSION));
      await client.get(ID);
      expect(service.last.headers.get("authorization")).toBe("Bearer t0");
    }
    const { client, service } = startWith({ token: () => undefined }, json(200, SESSION));
    await client.get(ID);
    expect(service.last.headers.has("authorization")).toBe(false);
  });

  it("is asked for once more after a 401, with the one that was refused", async () => {
    const asked: unknown[] = [];
    const token = (refused?: string) => `t${asked.push(refused)}`;
    const no = refusal(401, "unauthorized");
    const { client, service, timing } = startWith({ token }, no, json(200, SESSION), no, no);
    await client.get(ID);
    expect(asked).toEqual([undefined, "t1"]);
    expect(service.last.headers.get("authorization")).toBe("Bearer t2");
    expect(timing.waits).toEqual([]);
    expect(await failureOf(client.get(ID))).toMatchObject({ status: 401, code: "unauthorized" });
    expect(service.asked).toHaveLength(4);
  });

  it("of one text ends the call at a 401", async () => {
    const { client, service } = startWith({ token: "t" }, refusal(401, "unauthorized"));
    expect(await failureOf(client.get(ID))).toMatchObject({ status: 401 });
    expect(service.asked).toHaveLength(1);
  });

  it("whose function fails is asked for later, unless it says that this does not pass", async () => {
    const failures = [
      new TypeError("fetch failed"),
      new HoldfastError(403, "forbidden", "Log in."),
    ];
    const token = () => Promise.reject(failures.shift()!);
    const { client, service, timing } = startWith({ token });
    const error = await failureOf(client.get(ID));
    expect(error).toMatchObject({ status: 403, detail: "Log in." });
    expect(timing.waits).toEqual([250]);
    expect(service.asked).toEqual([]);
  });

  it("that no header can hold is not sent, nor quoted", async () => {
    const { client, service } = startWith({ token: () => "my secret" });
    const error = await failureOf(client.get(ID));
    expect(error).toMatchObject({ status: 401, code: "unauthorized" });
    expect(error.message).not.toContain("my secret");
    expect(service.asked).toEqual([]);
  });
});

describe("a signal", () => {
  const reason = new Error("enough");

  it("that has aborted lets nothing be sent", async () => {
    const { client, service } = start(json(200, SESSION));
    await expect(client.get(ID, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(service.asked).toEqual([]);
  });

  it("ends a call that awaits its token, its answer, or its next try", async () => {
    const never = new Promise<string>(() => {});
    for (const [token, step] of [
      [() => never, hang],
      ["t", hang],
      ["t", (asked: Asked) => hangingBody(asked)],
    ] as const) {
      const { client, timing } = startWith({ token }, step);
      const stop = new AbortController();
      const got = client.get(ID, { signal: stop.signal });
      await timing.advance(0);
      stop.abort(reason);
      await expect(got).rejects.toBe(reason);
      expect(timing.timers).toBe(0);
    }
    const stop = new AbortController();
    const { client } = startWith({ onRetry: () => stop.abort(reason) }, away, json(200, SESSION));
    await expect(client.get(ID, { signal: stop.signal })).rejects.toBe(reason);
  });
});

/** The head says JSON, and the connection breaks in the body. */
function json200Cut(): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"id":'));
    },
    pull(controller) {
      controller.error(new TypeError("terminated"));
    },
  });
  return new Response(body, { headers: { "content-type": "application/json" } });
}

function hangingBody({ signal }: Asked): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      signal.addEventListener("abort", () => controller.error(signal.reason));
    },
  });
  return new Response(body, { headers: { "content-type": "application/json" } });
}
