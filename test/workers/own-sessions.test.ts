/** A caller's own sessions as a whole: listed, counted and ended without being an admin. */
import { expect, it } from "vitest";
import type { Hono } from "hono";
import { allTold } from "../support/directory.ts";
import { tokenApp } from "../support/guarded-app.ts";

interface Json {
  readonly id: string;
  readonly code: string;
  readonly count: number;
  readonly deleted: number;
  readonly sessions: readonly { readonly id: string }[];
}

async function start() {
  // Subjects of this test alone: the directory is one for all tests of a file.
  const [me, other] = [`me-${crypto.randomUUID()}`, `other-${crypto.randomUUID()}`];
  const { app, headers } = await tokenApp({
    writer: [me, ["sessions:read", "sessions:write"]],
    reader: [me, ["sessions:read"]],
    publisher: [me, ["events:publish"]],
    other: [other, ["sessions:read", "sessions:write"]],
    admin: ["root", ["admin"]],
  });
  const as = caller(app, headers);
  const made = async (who: string) => (await as(who, "POST", "/v1/sessions")).json.id;
  const mine = [await made("writer"), await made("writer")];
  const theirs = await made("other");
  await allTold([...mine, theirs]);
  return { as, me, other, mine, theirs };
}

function caller(app: Hono, headers: Readonly<Record<string, { authorization: string }>>) {
  return async (who: string, method: string, path: string) => {
    const response = await app.request(path, { method, headers: headers[who] ?? {} });
    const text = await response.text();
    return { status: response.status, json: (text === "" ? {} : JSON.parse(text)) as Json };
  };
}

it("with sessions:read a caller lists and counts its own, named or not", async () => {
  const { as, me, mine } = await start();
  for (const query of ["", `?subject=${me}`]) {
    const list = await as("reader", "GET", `/v1/sessions${query}`);
    expect(list.status).toBe(200);
    expect(list.json.sessions.map(({ id }) => id).toSorted()).toEqual(mine.toSorted());
    expect(await as("reader", "GET", `/v1/sessions/count${query}`)).toEqual({
      status: 200,
      json: { count: 2 },
    });
  }
});

it("with sessions:write a caller ends all of its own, and nobody else's", async () => {
  const { as, mine, theirs } = await start();
  const ended = await as("writer", "DELETE", "/v1/sessions");
  expect([ended.status, ended.json.deleted]).toEqual([202, 2]);
  for (const id of mine) {
    await expect
      .poll(async () => (await as("writer", "GET", `/v1/sessions/${id}`)).status)
      .toBe(404);
  }
  expect((await as("other", "GET", `/v1/sessions/${theirs}`)).status).toBe(200);
});

it("another's sessions need admin, for each of the three", async () => {
  const { as, other, theirs } = await start();
  for (const [method, path] of [
    ["GET", "/v1/sessions"],
    ["GET", "/v1/sessions/count"],
    ["DELETE", "/v1/sessions"],
  ] as const) {
    const refused = await as("writer", method, `${path}?subject=${other}`);
    expect([path, refused.status, refused.json.code]).toEqual([path, 403, "forbidden"]);
  }
  expect((await as("other", "GET", `/v1/sessions/${theirs}`)).status).toBe(200);
  const list = await as("admin", "GET", `/v1/sessions?subject=${other}`);
  expect(list.json.sessions.map(({ id }) => id)).toEqual([theirs]);
});

it("the scope of each is needed still, and an admin names whom it ends", async () => {
  const { as } = await start();
  expect((await as("publisher", "GET", "/v1/sessions")).status).toBe(403);
  expect((await as("publisher", "GET", "/v1/sessions/count")).status).toBe(403);
  expect((await as("reader", "DELETE", "/v1/sessions")).status).toBe(403);
  expect((await as("admin", "DELETE", "/v1/sessions")).status).toBe(400);
});
