/** Conditional reads (RFC 9110, 13.1), and what an entity tag covers. */
import { afterEach, expect, it, vi } from "vitest";
import type { Session } from "../../src/core/api.ts";
import { call, make, pathOf, request } from "../support/call.ts";
import { SseReader } from "../support/sse-reader.ts";

afterEach(() => void vi.useRealTimers());

async function tagged() {
  const { id } = await make({ metadata: { a: "1" } });
  const path = pathOf(id);
  const look = async (headers: Record<string, string> = {}, query = "?touch=false") => {
    const response = await request("GET", path + query, undefined, headers);
    const text = await response.text();
    return { status: response.status, text, tag: response.headers.get("etag") ?? "" };
  };
  return { id, path, look, first: await look() };
}

it("If-None-Match answers 304 without a body while nothing has changed", async () => {
  const { path, look, first } = await tagged();
  for (const value of [
    first.tag,
    `W/${first.tag.replace(/^W\//, "")}`,
    `"other", ${first.tag}`,
    "*",
  ]) {
    const { status, text, tag } = await look({ "if-none-match": value });
    expect([value, status, text, tag]).toEqual([value, 304, "", first.tag]);
  }
  expect((await look({ "if-none-match": '"other"' })).status).toBe(200);
  const head = await request("HEAD", path, undefined, { "if-none-match": first.tag });
  expect(head.status).toBe(304);
});

it("a condition is about the session before the read, which moves the deadline and so the tag", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const { look } = await tagged();
  for (const [header, holds, fails] of [
    ["if-none-match", 304, 200],
    ["if-match", 200, 412],
  ] as const) {
    const { tag } = await look({}, "");
    vi.setSystemTime(Date.now() + 1000);
    const first = await look({ [header]: tag }, "");
    expect([first.status, first.status === 304 && first.tag]).toEqual([
      holds,
      holds === 304 && tag,
    ]);
    const second = await look({ [header]: tag }, "");
    expect(second.status).toBe(fails);
    expect(second.tag).not.toBe(tag);
  }
});

it("If-None-Match answers 304 again and again to a client that does not use the session", async () => {
  const { look, first } = await tagged();
  for (let n = 0; n < 3; n++) {
    const { status, tag } = await look({ "if-none-match": `W/${first.tag}` });
    expect([status, tag]).toEqual([304, first.tag]);
  }
});

it("If-Match on GET compares strongly: a weak tag names nothing", async () => {
  const { look, first } = await tagged();
  expect((await look({ "if-match": `W/${first.tag}` })).status).toBe(412);
});

it("the tag changes with everything else that the body says", async () => {
  const { id, path, look, first } = await tagged();
  const tags = [first.tag];
  const expectNews = async (what: string) => {
    const { status, tag } = await look({ "if-none-match": tags.at(-1)! });
    expect([what, status]).toEqual([what, 200]);
    expect(tags).not.toContain(tag);
    tags.push(tag);
  };
  await call("PATCH", path, { metadata: { a: "2" } });
  await expectNews("content");
  await call("POST", pathOf(id, "/events"), { data: 1 });
  await expectNews("lastEventId");
  const reader = new SseReader((await request("GET", pathOf(id, "/events"))).body!);
  await expectNews("writers");
  await call("POST", pathOf(id, "/end"));
  await reader.leave();
  await expectNews("ended");
});

it("two answers with one strong tag are the same to the byte", async () => {
  const { look } = await tagged();
  const answers = [];
  for (let n = 0; n < 3; n++) {
    answers.push(await look({}, ""));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const bodies = new Map<string, string>();
  for (const { tag, text } of answers.filter((answer) => !answer.tag.startsWith("W/"))) {
    expect(bodies.get(tag) ?? text).toBe(text);
    bodies.set(tag, text);
  }
});

it("If-Match on GET answers 412 for another version", async () => {
  const { look, first } = await tagged();
  expect((await look({ "if-match": '"other"' })).status).toBe(412);
  expect((await look({ "if-match": first.tag })).status).toBe(200);
  expect((await look({ "if-match": "*" })).status).toBe(200);
});

it("a read that If-Match refuses is no use of the session, and one answered 304 is", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const { path, look, first } = await tagged();
  const deadline = async () => (await call<Session>("GET", `${path}?touch=false`)).json.expiresAt;
  const before = await deadline();
  vi.setSystemTime(Date.now() + 1000);
  expect((await look({ "if-match": '"other"' }, "")).status).toBe(412);
  expect((await look({ "if-match": first.tag, "if-none-match": '"' }, "")).status).toBe(400);
  expect(await deadline()).toBe(before);
  expect((await look({ "if-none-match": first.tag }, "")).status).toBe(304);
  expect(Date.parse(await deadline())).toBe(Date.parse(before) + 1000);
});

it("a tag from a read still guards a write after events, readers and uses", async () => {
  const { id, path, first } = await tagged();
  await call("POST", pathOf(id, "/events"), { data: 1 });
  await call("GET", path);
  const changed = await call("PATCH", path, { metadata: { a: "2" } }, { "if-match": first.tag });
  expect(changed.status).toBe(200);
  const stale = await call("PATCH", path, { metadata: { a: "3" } }, { "if-match": first.tag });
  expect(stale.status).toBe(412);
  expect((await call<Session>("GET", path)).json.metadata).toEqual({ a: "2" });
});

it.each(["if-none-match", "if-match"])("a malformed %s is refused by name", async (name) => {
  const { look } = await tagged();
  const { status, text } = await look({ [name]: "no tag" });
  expect(status).toBe(400);
  expect(JSON.parse(text)).toMatchObject({ code: "invalid_request" });
});

it("a condition on a session that is not there is no answer to whether it is", async () => {
  for (const headers of [{ "if-none-match": "*" }, { "if-match": '"x"' }]) {
    const path = pathOf(crypto.randomUUID());
    expect((await request("GET", path, undefined, headers)).status).toBe(404);
  }
});
