import { expect, it, vi } from "vitest";
import { call } from "../../../src/upstream/call.ts";
import { openUpstreams } from "../../../src/upstream/open.ts";
import { parseUpstreams, secretNames } from "../../../src/upstream/settings.ts";
import { replicaAt, type Upstream } from "../../../src/upstream/upstream.ts";

it("is the demo server where nothing is set", () => {
  expect(parseUpstreams(undefined)).toEqual({ default: "demo" });
});

it("fills in what is not said", () => {
  const { default: one } = parseUpstreams('{"default":{"url":"http://localhost:1/mcp"}}');
  expect(one).toEqual({
    urls: ["http://localhost:1/mcp"],
    headers: {},
    timeoutSeconds: 60,
    transport: "streamable",
    forwardAuthorization: false,
  });
});

it.each([
  ["not json", "must be JSON"],
  ["[]", "must be an object"],
  ['{"default":{"url":"ftp://x"}}', "default"],
  ['{"default":{"uri":"http://x"}}', "default: has no option uri"],
  ['{"default":{}}', "default: must have either"],
  ['{"default":{"url":"http://x","binding":"B"}}', "default: must have either"],
  ['{"default":{"url":"http://x","headers":{"a b":"c"}}}', "default: headers"],
  ['{"default":{"url":"http://x","transport":"stdio"}}', "default: transport"],
  ['{"default":{"url":"http://x","forwardAuthorization":1}}', "default: forwardAuthorization"],
  ['{"default":{"url":"http://x","timeoutSeconds":0}}', "default"],
  ['{"default":{"url":"http://x","replica":["http://y"]}}', "default"],
  ['{"A B":"demo"}', "A B"],
])("refuses %s, and says where", (text, message) => {
  expect(() => parseUpstreams(text)).toThrow(message);
});

it("takes secrets and service bindings from the environment, and names the one that is missing", async () => {
  const text = JSON.stringify({
    default: { url: "http://x/mcp", headers: { Authorization: "$TOKEN", "X-Plain": "plain" } },
    bound: { binding: "SERVER" },
  });
  const settings = parseUpstreams(text);
  expect(secretNames(settings)).toEqual(["TOKEN"]);
  const SERVER = { fetch: vi.fn(async () => new Response()) };
  const upstreams = openUpstreams(settings, { TOKEN: "Bearer s", SERVER });
  expect(upstreams.get("default")?.headers).toEqual({
    authorization: "Bearer s",
    "x-plain": "plain",
  });
  await upstreams.get("bound")?.replicas[0]?.send({ method: "DELETE", headers: {} });
  expect(SERVER.fetch).toHaveBeenCalledExactlyOnceWith("https://server.invalid/mcp", {
    method: "DELETE",
    headers: {},
  });
  expect(() => openUpstreams(settings, { SERVER })).toThrow("default: there is no secret TOKEN");
  expect(() => openUpstreams(settings, { TOKEN: "x" })).toThrow(
    "bound: there is no service binding SERVER",
  );
});

it("reaches a URL through the binding OUTBOUND where it is bound, and follows no redirect", async () => {
  const OUTBOUND = { fetch: vi.fn(async () => new Response()) };
  const upstreams = openUpstreams(parseUpstreams('{"default":{"url":"http://x/mcp"}}'), {
    OUTBOUND,
  });
  const upstream = upstreams.get("default") as Upstream;
  await call(upstream, replicaAt(upstream, undefined), { method: "DELETE" });
  const manual: unknown = expect.objectContaining({ redirect: "manual" });
  expect(OUTBOUND.fetch).toHaveBeenCalledExactlyOnceWith("http://x/mcp", manual);
});
