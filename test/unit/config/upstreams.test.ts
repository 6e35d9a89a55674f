import { expect, it, vi } from "vitest";
import { call } from "../../../src/gateway/upstream/call.ts";
import { openUpstreams } from "../../../src/gateway/upstream/open.ts";
import {
  parseUpstreams,
  secretNames,
  type ServerSettings,
  type UpstreamsSettings,
} from "../../../src/config/upstreams.ts";
import {
  replicaAt,
  type Upstream,
  type Upstreams,
} from "../../../src/gateway/upstream/upstream.ts";

const opened = (upstreams: UpstreamsSettings, env: Record<string, unknown>): Upstreams =>
  openUpstreams({ upstreams, bodyMaxBytes: 1000 }, env);

it("is the demo server where nothing is set", () => {
  expect(parseUpstreams(undefined)).toEqual({ default: "demo" });
});

it("fills in what is not said", () => {
  const { default: one } = parseUpstreams('{"default":{"url":"http://localhost:1/mcp"}}');
  expect(one).toEqual({
    urls: ["http://localhost:1/mcp"],
    headers: {},
    timeoutSeconds: 60,
    silenceSeconds: 600,
    callSeconds: 3600,
    transport: "streamable",
    forwardAuthorization: false,
    tasks: { afterMs: 2000, ttlMs: 3_600_000, pollIntervalMs: 1000, required: [] },
  });
});

it("reads how calls become tasks, and that they do not", () => {
  const tasksOf = (tasks: unknown) => {
    const { one } = parseUpstreams(JSON.stringify({ one: { url: "http://localhost:1", tasks } }));
    return (one as ServerSettings).tasks;
  };
  expect(tasksOf({ afterMs: 0, ttlSeconds: 1.5, pollIntervalMs: 7, required: ["a"] })).toEqual({
    afterMs: 0,
    ttlMs: 1500,
    pollIntervalMs: 7,
    required: ["a"],
  });
  expect(tasksOf(false)).toBeUndefined();
  const own = parseUpstreams('{"one":{"server":true,"tasks":false}}')["one"];
  expect(own).toEqual({ server: true, callSeconds: 3600 });
});

it.each([
  ["not json", "must be JSON"],
  ["[]", "must be an object"],
  ['{"default":{"url":"ftp://x"}}', "default"],
  ['{"default":{"uri":"http://x"}}', "default: has no option uri"],
  ['{"default":{"url":"http://x","":1}}', "default: has no option"],
  ['{"default":{}}', "default: must have either"],
  ['{"default":{"url":"http://x","binding":"B"}}', "default: must have either"],
  ['{"default":{"url":"http://x","headers":{"a b":"c"}}}', "default: headers"],
  ['{"default":{"url":"http://x","transport":"stdio"}}', "default: transport"],
  ['{"default":{"url":"http://x","era":"new"}}', "default: era must be auto, legacy or modern"],
  ['{"default":{"url":"http://x","era":"modern","transport":"sse"}}', "default: era must not be"],
  ['{"default":{"url":"http://x","forwardAuthorization":1}}', "default: forwardAuthorization"],
  ['{"default":{"url":"http://x","forwardAuthorization":"Cookie"}}', "forwardAuthorization"],
  ['{"default":{"url":"http://x","forwardAuthorization":"Mcp-Name"}}', "forwardAuthorization"],
  ['{"default":{"url":"http://x","forwardAuthorization":"a b"}}', "forwardAuthorization"],
  ['{"default":{"url":"http://x","forwardAuthorization":""}}', "forwardAuthorization"],
  ['{"default":{"url":"http://x","timeoutSeconds":0}}', "default: timeoutSeconds must be from"],
  ['{"default":{"url":"http://x","silenceSeconds":"600"}}', "default: silenceSeconds must be from"],
  ['{"default":{"url":"http://x","callSeconds":86401}}', "default: callSeconds must be from"],
  [
    '{"default":{"url":"http://x","callSeconds":59}}',
    "callSeconds must be at least timeoutSeconds",
  ],
  ['{"default":{"url":"http://x","tasks":true}}', "default: tasks must be false or an object"],
  ['{"default":{"url":"http://x","tasks":{"after":1}}}', "default: tasks has no option after"],
  ['{"default":{"url":"http://x","tasks":{"afterMs":0.5}}}', "tasks.afterMs must be whole"],
  ['{"default":{"url":"http://x","tasks":{"afterMs":600001}}}', "tasks.afterMs must be whole"],
  ['{"default":{"url":"http://x","tasks":{"ttlSeconds":0.5}}}', "tasks.ttlSeconds must be from 1"],
  ['{"default":{"url":"http://x","tasks":{"ttlSeconds":604801}}}', "tasks.ttlSeconds must be"],
  ['{"default":{"url":"http://x","tasks":{"pollIntervalMs":0}}}', "tasks.pollIntervalMs must be"],
  ['{"default":{"url":"http://x","tasks":{"required":[1]}}}', "tasks.required must be a list"],
  ['{"default":{"url":"http://x","replica":["http://y"]}}', "default"],
  ['{"A B":"demo"}', "A B"],
])("refuses %s, and says where", (text, message) => {
  expect(() => parseUpstreams(text)).toThrow(message);
});

it.each([
  ['"era":"auto"', undefined],
  ['"era":"legacy"', "legacy"],
  ['"era":"modern"', "modern"],
  ['"transport":"sse"', "legacy"],
])("opens an upstream with %s as one that speaks only %s", (option, era) => {
  const settings = parseUpstreams(`{"default":{"url":"http://x",${option}}}`);
  expect(opened(settings, {}).get("default")?.era).toBe(era);
});

it("lets a call take as long as its answer may take to begin", () => {
  const text = '{"default":{"url":"http://x","timeoutSeconds":7200,"silenceSeconds":0.5}}';
  const one = opened(parseUpstreams(text), {}).get("default");
  expect(one).toMatchObject({ timeoutMs: 7_200_000, silenceMs: 500, callMs: 7_200_000 });
});

it.each([
  [true, "authorization"],
  ["X-Upstream-Authorization", "x-upstream-authorization"],
  ["Authorization", "authorization"],
  [false, false],
])("takes the client's credential from a header: %s", (forwardAuthorization, header) => {
  const settings = parseUpstreams(
    JSON.stringify({ default: { url: "http://x/mcp", forwardAuthorization } }),
  );
  expect(opened(settings, {}).get("default")?.forwardAuthorization).toBe(header);
});

it("takes secrets and service bindings from the environment, and names the one that is missing", async () => {
  const text = JSON.stringify({
    default: { url: "http://x/mcp", headers: { Authorization: "$TOKEN", "X-Plain": "plain" } },
    bound: { binding: "SERVER" },
  });
  const settings = parseUpstreams(text);
  expect(secretNames(settings)).toEqual(["TOKEN"]);
  const SERVER = { fetch: vi.fn(async () => new Response()) };
  const upstreams = opened(settings, { TOKEN: "Bearer s", SERVER });
  expect(upstreams.get("default")?.headers).toEqual({
    authorization: "Bearer s",
    "x-plain": "plain",
  });
  await upstreams.get("bound")?.replicas[0]?.send({ method: "DELETE", headers: {} });
  expect(SERVER.fetch).toHaveBeenCalledExactlyOnceWith("https://server.invalid/mcp", {
    method: "DELETE",
    headers: {},
  });
  expect(() => opened(settings, { SERVER })).toThrow(
    "UPSTREAMS default: there is no secret TOKEN, which headers.Authorization names",
  );
  expect(() => opened(settings, { TOKEN: "x" })).toThrow(
    'UPSTREAMS bound: there is no service binding SERVER: add [[services]] with binding = "SERVER"',
  );
  expect(() => opened(settings, { TOKEN: "x", SERVER: "a text" })).toThrow(
    "UPSTREAMS bound: SERVER is bound to something else",
  );
});

it.each(["\n", "\r", "\0", "\u0001", "\u007f", "é", "漢"])(
  "refuses a header's value with %j in it, without repeating it",
  (bad) => {
    const value = `hunter2${bad}hunter2`;
    const upstreams = (text: string) =>
      JSON.stringify({ default: { url: "http://x/mcp", headers: { "X-Key": text } } });
    const refused = "headers.X-Key must hold no line end";
    const plain = thrownBy(() => parseUpstreams(upstreams(value)));
    expect(plain).toContain(`default: ${refused}`);
    const settings = parseUpstreams(upstreams("$TOKEN"));
    const secret = thrownBy(() => opened(settings, { TOKEN: value }));
    expect(secret).toContain(`default: the secret TOKEN for ${refused}`);
    for (const message of [plain, secret]) expect(message).not.toContain("hunter2");
  },
);

it.each(["", "Bearer a", "tab\tinside", "from a file\n", " around\r\n"])(
  "takes %j as a header's value, as Headers does",
  (value) => {
    const text = JSON.stringify({ default: { url: "http://x/mcp", headers: { a: value } } });
    const headers = opened(parseUpstreams(text), {}).get("default")?.headers;
    expect(headers).toEqual({ a: value });
    expect(new Headers(headers).get("a")).toBe(value.trim());
  },
);

function thrownBy(call: () => unknown): string {
  try {
    call();
  } catch (failure) {
    return failure instanceof Error ? failure.message : String(failure);
  }
  return "nothing was thrown";
}

it("reaches a URL through the binding OUTBOUND where it is bound, and follows no redirect", async () => {
  const OUTBOUND = { fetch: vi.fn(async () => new Response()) };
  const upstreams = opened(parseUpstreams('{"default":{"url":"http://x/mcp"}}'), {
    OUTBOUND,
  });
  const upstream = upstreams.get("default") as Upstream;
  await call(upstream, replicaAt(upstream, undefined), { method: "DELETE" });
  const manual: unknown = expect.objectContaining({ redirect: "manual" });
  expect(OUTBOUND.fetch).toHaveBeenCalledExactlyOnceWith("http://x/mcp", manual);
});
