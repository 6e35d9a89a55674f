/** Every error of the contract, and invalid input. */
import { exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { Session } from "../../src/core/api.ts";
import { call, FROM_HERE, make, pathOf, request } from "../support/call.ts";

const post = (
  path: string,
  body: BodyInit | null,
  headers: HeadersInit = { "content-type": "application/json" },
  method = "POST",
) =>
  (exports as unknown as { default: Fetcher }).default.fetch(`http://localhost${path}`, {
    method,
    body,
    headers: { ...FROM_HERE, ...headers },
  });

async function problemOf(response: Response) {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const problem = (await response.json()) as Record<string, unknown>;
  expect(Object.keys(problem).toSorted()).toEqual(["code", "detail", "status", "title", "type"]);
  expect(problem["status"]).toBe(response.status);
  return problem as { status: number; code: string; detail: string };
}

describe("bad fields are refused by name and change nothing", () => {
  const deepKey = { ["__proto__" as string]: 1 };
  it.each([
    ["an unknown field", { nope: 1 }, "invalid_request", "nope"],
    ["a wrong type", { type: "websocket" }, "invalid_session_type", "type"],
    ["an id that is no UUID", { id: "abc" }, "invalid_session_id", "id"],
    [
      "an id of the gateway's own sessions",
      { id: "8c2d0cf4-7a2b-8b73-87f5-4e3c686f6c64" },
      "invalid_session_id",
      "id",
    ],
    ["an id that is no string", { id: 7 }, "invalid_session_id", "id"],
    ["metadata that is no map", { metadata: [] }, "invalid_request", "metadata"],
    [
      "a metadata value that is no string",
      { metadata: { a: "b", n: 1 } },
      "invalid_request",
      "metadata.n",
    ],
    [
      "too much metadata",
      { metadata: Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`k${n}`, ""])) },
      "invalid_request",
      "metadata",
    ],
    ["a TTL of nothing", { ttlSeconds: 0 }, "invalid_request", "ttlSeconds"],
    ["a TTL under the least", { ttlSeconds: 0.09 }, "invalid_request", "ttlSeconds"],
    ["a TTL over the most", { ttlSeconds: 1e12 }, "invalid_request", "ttlSeconds"],
    ["a TTL that is no number", { ttlSeconds: "60" }, "invalid_request", "ttlSeconds"],
    ["a negative lifetime", { maxLifetimeSeconds: -1 }, "invalid_request", "maxLifetimeSeconds"],
    ["an empty subject", { subject: "" }, "invalid_request", "subject"],
    ["half a pair in a subject", { subject: "\ud800x" }, "invalid_request", "subject"],
    ["the other half", { subject: "x\udc00" }, "invalid_request", "subject"],
    ["a body that is no object", [], "invalid_request", "object"],
    ["a body that is null", null, "invalid_request", "object"],
    [
      "a top-level __proto__",
      JSON.parse('{"__proto__":{"type":"sse"}}') as object,
      "invalid_request",
      "__proto__",
    ],
    [
      "constructor as a field",
      { constructor: { prototype: deepKey } },
      "invalid_request",
      "constructor",
    ],
    [
      "__proto__ in metadata",
      JSON.parse('{"metadata":{"__proto__":"x"}}') as object,
      "invalid_request",
      "metadata.__proto__",
    ],
  ])("%s", async (_name, body, code, field) => {
    const problem = await problemOf(await request("POST", "/v1/sessions", body));
    expect([problem.status, problem.code]).toEqual([400, code]);
    expect(problem.detail).toContain(field);
    const { id } = await make({ metadata: { keep: "me" } });
    const before = await call<Session>("GET", pathOf(id, "?touch=false"));
    const put = await request("PUT", pathOf(id), body);
    expect(put.status).toBe(400);
    expect((await call("GET", pathOf(id, "?touch=false"))).json).toEqual(before.json);
  });

  it.each([
    ["no data", {}, "data"],
    ["an unknown field", { data: 1, id: "x" }, "id"],
    ["CR in the name", { event: "a\rb", data: 1 }, "event"],
    ["LF in the name", { event: "a\ndata: forged", data: 1 }, "event"],
    ["NUL in the name", { event: "a\0", data: 1 }, "event"],
    ["an empty name", { event: "", data: 1 }, "event"],
    ["a name of the service's own", { event: "expired", data: 1 }, "event"],
    ["a name too long", { event: "e".repeat(257), data: 1 }, "event"],
    ["an empty array", [], "an array must hold an event"],
    ["101 events", Array.from({ length: 101 }, () => ({ data: 1 })), "at most 100 events"],
    ["an array of no objects", [{ data: 1 }, 7], "[1]: "],
    ["nothing but null", null, "object"],
    ["one bad event among good ones", [{ data: 1 }, { data: 2, event: "x\ny" }], "event"],
    ["a string", "hello", "object"],
  ])("publishing %s", async (_name, body, field) => {
    const { id } = await make();
    const problem = await problemOf(await request("POST", pathOf(id, "/events"), body));
    expect([problem.status, problem.code]).toEqual([400, "invalid_request"]);
    expect(problem.detail.toLowerCase()).toContain(field);
    expect((await call("GET", pathOf(id))).json).not.toHaveProperty("lastEventId");
  });

  it.each([
    ["?touch=maybe", "touch"],
    ["/events?from=latest", "from"],
  ])("the query %s", async (query, field) => {
    const { id } = await make();
    const problem = await problemOf(await request("GET", pathOf(id, query)));
    expect([problem.status, problem.code]).toEqual([400, "invalid_request"]);
    expect(problem.detail).toContain(field);
  });

  it("an id in the path that is no UUID, on every route", async () => {
    for (const [method, rest, body] of [
      ["GET", "", undefined],
      ["PUT", "", {}],
      ["PATCH", "", {}],
      ["DELETE", "", undefined],
      ["POST", "/events", { data: 1 }],
      ["GET", "/events", undefined],
      ["POST", "/disconnect", undefined],
    ] as const) {
      for (const id of ["abc", "%00", "..%2f..", "00000000-0000-0000-0000-00000000000g"]) {
        const problem = await problemOf(await request(method, pathOf(id, rest), body));
        expect([method, rest, problem.status, problem.code]).toEqual([
          method,
          rest,
          400,
          "invalid_session_id",
        ]);
      }
    }
  });
});

describe("bodies", () => {
  it.each([
    ["not JSON", "{", 400, "invalid_request"],
    [
      "not UTF-8",
      new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
      400,
      "invalid_request",
    ],
    [
      "a hundred thousand levels deep",
      `{"data":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
      400,
      "invalid_request",
    ],
    [
      "over BODY_MAX_BYTES",
      JSON.stringify({ data: "x".repeat(4_194_304) }),
      413,
      "payload_too_large",
    ],
    [
      "data over its bound",
      JSON.stringify({ data: "x".repeat(1_100_000) }),
      413,
      "payload_too_large",
    ],
    [
      "metadata over its bound",
      JSON.stringify({ metadata: { a: "x".repeat(300_000) } }),
      413,
      "payload_too_large",
    ],
  ])("%s", async (_name, body, status, code) => {
    const problem = await problemOf(await post("/v1/sessions", body));
    expect([problem.status, problem.code]).toEqual([status, code]);
  });

  it("over BODY_MAX_BYTES, chunked", async () => {
    const chunk = new Uint8Array(65_536).fill(0x20);
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent++ < 100) controller.enqueue(chunk);
        else controller.close();
      },
    });
    expect(await problemOf(await post("/v1/sessions", endless))).toMatchObject({
      status: 413,
      code: "payload_too_large",
    });
  });

  it("that are empty are refused where a body is needed, with a media type and without, and change nothing", async () => {
    const { id } = await make({ metadata: { keep: "me" }, data: 1 });
    const before = await call<Session>("GET", pathOf(id, "?touch=false"));
    for (const [method, rest] of [
      ["PUT", ""],
      ["PATCH", ""],
      ["POST", "/events"],
    ] as const) {
      for (const headers of [{}, { "content-type": "application/json" }]) {
        const problem = await problemOf(
          await request(method, pathOf(id, rest), undefined, headers),
        );
        expect([problem.code, problem.detail]).toEqual(["invalid_request", "A body is needed."]);
      }
    }
    for (const headers of [{}, { "content-type": "application/json" }]) {
      expect((await request("POST", "/v1/sessions", undefined, headers)).status).toBe(201);
    }
    expect((await call("GET", pathOf(id, "?touch=false"))).json).toEqual(before.json);
  });

  it.each([
    ["POST", "/v1/sessions", '{"data":1e400}', "data"],
    ["POST", "/v1/sessions", '{"data":{"a":[0,{"b":-1e400}]}}', "data.a[1].b"],
    ["PUT", "/v1/sessions/ID", '{"data":[1e309]}', "data[0]"],
    ["PATCH", "/v1/sessions/ID", '{"data":{"a":1e309}}', "data.a"],
    ["POST", "/v1/sessions/ID/events", '{"data":{"a":1e400}}', "data.a"],
    ["POST", "/v1/sessions/ID/events", '[{"data":1},{"data":{"a":1e400}}]', "[1].data.a"],
    ["POST", "/v1/sessions", '{"ttlSeconds":1e400}', "ttlSeconds"],
  ])("with a number that no double holds: %s %s %s", async (method, path, body, field) => {
    const { id } = await make({ data: 1 });
    const before = await call<Session>("GET", pathOf(id, "?touch=false"));
    const answer = await post(path.replace("ID", id), body, undefined, method);
    const problem = await problemOf(answer);
    expect([problem.status, problem.code]).toEqual([400, "invalid_request"]);
    expect(problem.detail.split(": ")[0]).toBe(field);
    expect((await call("GET", pathOf(id, "?touch=false"))).json).toEqual(before.json);
  });

  it("of another media type", async () => {
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
    ]) {
      const problem = await problemOf(await post("/v1/sessions", "{}", { "content-type": type }));
      expect([problem.status, problem.code]).toEqual([415, "unsupported_media_type"]);
    }
    const charset = await post("/v1/sessions", "{}", {
      "content-type": "application/json; charset=utf-8",
    });
    expect(charset.status).toBe(201);
  });

  it("as deep as is allowed, with every awkward key, come back as they were sent", async () => {
    const text = `{"data":{"__proto__":{"a":1},"constructor":null,"10":1,"9":2,"":"\\u0000\\ud800","big":1e21}}`;
    const made = (await (await post("/v1/sessions", text)).json()) as Session;
    const read = await (await request("GET", pathOf(made.id))).text();
    expect(read).toContain('"__proto__":{"a":1}');
    expect(({} as { a?: number }).a).toBeUndefined();
    const patched = await (
      await request("PATCH", pathOf(made.id), JSON.parse('{"data":{"__proto__":{"b":2}}}'))
    ).text();
    expect(patched).toContain('"__proto__":{"a":1,"b":2}');
  });

  it("an event over EVENT_MAX_BYTES is refused, and an array with one is refused whole", async () => {
    const { id } = await make();
    const large = { data: "x".repeat(1_048_577) };
    for (const body of [large, [{ data: "small" }, large]]) {
      const problem = await problemOf(await request("POST", pathOf(id, "/events"), body));
      expect([problem.status, problem.code]).toEqual([413, "payload_too_large"]);
      expect(problem.detail).toContain("EVENT_MAX_BYTES");
    }
    expect((await call("GET", pathOf(id))).json).not.toHaveProperty("lastEventId");
    expect(
      (await call("POST", pathOf(id, "/events"), { data: "x".repeat(1_048_576) })).status,
    ).toBe(202);
  });
});

describe("routes", () => {
  it("that do not exist answer 404", async () => {
    for (const path of ["/v1", "/v2/sessions", "/v1/sessions/", "/v1/sessions/x/y/z"]) {
      expect(await problemOf(await request("GET", path))).toMatchObject({
        status: 404,
        code: "not_found",
      });
    }
  });

  it("answer 405 with Allow to other methods, and 204 with Allow to OPTIONS", async () => {
    const id = crypto.randomUUID();
    for (const [path, allow] of [
      ["/healthz", "GET, HEAD, OPTIONS"],
      [pathOf(id), "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"],
      [pathOf(id, "/events"), "POST, GET, HEAD, OPTIONS"],
      [pathOf(id, "/disconnect"), "POST, OPTIONS"],
    ] as const) {
      const refused = await request("PROPFIND", path);
      expect(refused.headers.get("allow")).toBe(allow);
      expect(await problemOf(refused)).toMatchObject({ status: 405, code: "method_not_allowed" });
      const options = await request("OPTIONS", path);
      expect([options.status, options.headers.get("allow")]).toEqual([204, allow]);
    }
  });

  it("tell the health of the service", async () => {
    expect(await call("GET", "/healthz")).toMatchObject({ status: 200, json: { status: "ok" } });
    expect((await request("HEAD", "/healthz")).status).toBe(200);
  });
});
