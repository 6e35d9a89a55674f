/** Conditional writes (RFC 9110, 13.1): made where the condition holds, and without a trace where it does not. */
import { describe, expect, it } from "vitest";
import type { Session } from "../../src/core/api.ts";
import { call, make, pathOf } from "../support/call.ts";
import { appWithLimit } from "../support/directory.ts";
import { tokenApp } from "../support/guarded-app.ts";

const FAILED = [412, "precondition_failed"];

/** The path of a new session, and its entity tag. */
async function tagged() {
  const { id } = await make({ metadata: { keep: "me" } });
  const path = pathOf(id);
  return { path, tag: (await look(path)).headers.get("etag") ?? "" };
}

const look = (path: string) => call<Session>("GET", `${path}?touch=false`);

async function write(
  method: string,
  path: string,
  headers: Record<string, string>,
  body: unknown = {},
) {
  const { status, json } = await call<Record<string, unknown> | undefined>(
    method,
    path,
    method === "DELETE" ? undefined : body,
    headers,
  );
  return [status, json?.["code"]];
}

describe("DELETE with If-Match", () => {
  it("ends the session that has the tag, or that exists", async () => {
    for (const any of [false, true]) {
      const { path, tag } = await tagged();
      const ifMatch = any ? "*" : `"other", ${tag}`;
      expect(await write("DELETE", path, { "if-match": ifMatch })).toEqual([204, undefined]);
      expect((await look(path)).status).toBe(404);
    }
  });

  it("changes nothing where the session is of another version", async () => {
    const { path, tag } = await tagged();
    for (const stale of ['"stale"', `W/${tag}`]) {
      expect(await write("DELETE", path, { "if-match": stale })).toEqual(FAILED);
      expect((await look(path)).headers.get("etag")).toBe(tag);
    }
    await call("PATCH", path, { metadata: { keep: "you" } });
    expect(await write("DELETE", path, { "if-match": tag })).toEqual(FAILED);
    expect((await look(path)).json.metadata).toEqual({ keep: "you" });
  });

  it("answers 412 where there is none", async () => {
    for (const ifMatch of ["*", '"x"']) {
      const path = pathOf(crypto.randomUUID());
      expect(await write("DELETE", path, { "if-match": ifMatch })).toEqual(FAILED);
    }
  });

  it("ends one session for one of many who ask at once", async () => {
    const { path, tag } = await tagged();
    const all = Array.from({ length: 20 }, () => write("DELETE", path, { "if-match": tag }));
    const statuses = (await Promise.all(all)).map(([status]) => status);
    expect(statuses.filter((status) => status === 204)).toHaveLength(1);
    expect(statuses.filter((status) => status === 412)).toHaveLength(19);
  });

  it("refuses what is no tag, and changes nothing", async () => {
    const { path } = await tagged();
    expect(await write("DELETE", path, { "if-match": "naked" })).toEqual([400, "invalid_request"]);
    expect((await look(path)).status).toBe(200);
  });
});

describe("PUT with If-None-Match: *", () => {
  it("makes a session where there is none", async () => {
    const path = pathOf(crypto.randomUUID());
    expect(await write("PUT", path, { "if-none-match": "*" })).toEqual([201, undefined]);
  });

  it("changes nothing where there is one", async () => {
    const { path, tag } = await tagged();
    expect(await write("PUT", path, { "if-none-match": "*" })).toEqual(FAILED);
    const { headers, json } = await look(path);
    expect([headers.get("etag"), json.metadata]).toEqual([tag, { keep: "me" }]);
  });

  it("makes one session for one of many who ask at once", async () => {
    const path = pathOf(crypto.randomUUID());
    const all = Array.from({ length: 20 }, () => write("PUT", path, { "if-none-match": "*" }));
    const statuses = (await Promise.all(all)).map(([status]) => status);
    expect(statuses.filter((status) => status === 201)).toHaveLength(1);
    expect(statuses.filter((status) => status === 412)).toHaveLength(19);
  });

  it("fails where a version is asked for as well: no session is there and is not", async () => {
    const { path, tag } = await tagged();
    const conditions = { "if-none-match": "*", "if-match": tag };
    expect(await write("PUT", path, conditions)).toEqual(FAILED);
    expect(await write("PUT", pathOf(crypto.randomUUID()), conditions)).toEqual(FAILED);
    expect((await look(path)).headers.get("etag")).toBe(tag);
  });

  it("answers 412 to a subject with all the sessions that it may have, 429 for one more", async () => {
    const app = appWithLimit(1);
    const subject = crypto.randomUUID();
    const put = async (id: string) =>
      (await app("PUT", pathOf(id), { subject }, { "if-none-match": "*" })).status;
    const id = crypto.randomUUID();
    expect(await put(id)).toBe(201);
    expect(await put(id)).toBe(412);
    expect(await put(crypto.randomUUID())).toBe(429);
  });
});

it("refuses other forms of If-None-Match, which a write must not pass over", async () => {
  const { path, tag } = await tagged();
  for (const [method, value] of [
    ["PUT", '"x"'],
    ["PUT", "*, *"],
    ["PATCH", "*"],
    ["PATCH", '"x"'],
    ["DELETE", "*"],
    ["DELETE", '"x"'],
  ] as const) {
    const answer = await write(method, path, { "if-none-match": value });
    expect([method, value, ...answer]).toEqual([method, value, 400, "invalid_request"]);
  }
  expect((await look(path)).headers.get("etag")).toBe(tag);
});

it("tells a stranger nothing that it would not without a condition", async () => {
  const { app, headers } = await tokenApp({
    owner: ["alice", ["sessions:write", "sessions:read"]],
    stranger: ["mallory", ["sessions:write"]],
  });
  const send = async (who: string, method: string, path: string, condition = {}) => {
    const response = await app.request(path, {
      method,
      headers: { ...headers[who], "content-type": "application/json", ...condition },
      ...(method === "PUT" && { body: "{}" }),
    });
    return { status: response.status, text: await response.text(), headers: response.headers };
  };
  const [owned, unknown] = [pathOf(crypto.randomUUID()), pathOf(crypto.randomUUID())];
  const tag = (await send("owner", "PUT", owned)).headers.get("etag") ?? "";
  for (const ifMatch of [tag, "*"]) {
    const condition = { "if-match": ifMatch };
    const refused = await send("stranger", "DELETE", owned, condition);
    expect(refused.status).toBe(412);
    expect((await send("stranger", "DELETE", unknown, condition)).text).toBe(refused.text);
  }
  const put = await send("stranger", "PUT", owned);
  expect(put.status).toBe(404);
  const conditional = await send("stranger", "PUT", owned, { "if-none-match": "*" });
  expect([conditional.status, conditional.text]).toEqual([put.status, put.text]);
  expect((await send("owner", "GET", `${owned}?touch=false`)).headers.get("etag")).toBe(tag);
});
