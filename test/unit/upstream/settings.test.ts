import { expect, it } from "vitest";
import { openUpstreams } from "../../../src/upstream/open.ts";
import { parseUpstreams, secretNames } from "../../../src/upstream/settings.ts";

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

it("takes secrets and service bindings from the environment, and names the one that is missing", () => {
  const text = JSON.stringify({
    default: { url: "http://x/mcp", headers: { Authorization: "$TOKEN", "X-Plain": "plain" } },
    bound: { binding: "SERVER" },
  });
  const settings = parseUpstreams(text);
  expect(secretNames(settings)).toEqual(["TOKEN"]);
  const SERVER = { fetch: async () => new Response() };
  const upstreams = openUpstreams(settings, { TOKEN: "Bearer s", SERVER });
  expect(upstreams.get("default")?.headers).toEqual({
    authorization: "Bearer s",
    "x-plain": "plain",
  });
  expect(upstreams.get("bound")?.replicas[0]?.server).toBe(SERVER);
  expect(() => openUpstreams(settings, { SERVER })).toThrow("default: there is no secret TOKEN");
  expect(() => openUpstreams(settings, { TOKEN: "x" })).toThrow(
    "bound: there is no service binding SERVER",
  );
});

it("reaches a URL through the binding OUTBOUND where it is bound, and follows no redirect", async () => {
  const sent: (readonly [url: string, redirect: string | undefined])[] = [];
  const OUTBOUND = {
    fetch: async (request: Request, init?: RequestInit) => {
      sent.push([request.url, init?.redirect]);
      return new Response();
    },
  };
  const upstreams = openUpstreams(parseUpstreams('{"default":{"url":"http://x/mcp"}}'), {
    OUTBOUND,
  });
  await upstreams.get("default")?.replicas[0]?.server.fetch(new Request("http://x/mcp"));
  expect(sent).toEqual([["http://x/mcp", "manual"]]);
});
