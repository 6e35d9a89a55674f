/** Publishes that come together: they share a commit and a message, and nothing else. */
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { call, make, pathOf, request } from "../support/call.ts";
import { kill, objectOf } from "../support/object.ts";
import { lastEventIdIn, SseReader } from "../support/sse-reader.ts";

const publish = (id: string, body: unknown) =>
  call<{ id: string; ids: string[]; writers: number }>("POST", pathOf(id, "/events"), body);

async function follow(id: string, query = ""): Promise<SseReader> {
  const response = await request("GET", pathOf(id, `/events${query}`));
  expect(response.status).toBe(200);
  if (!response.body) throw new Error("a stream has a body");
  return new SseReader(response.body);
}

/** Has every commit of the object last until the returned function is called. */
async function slowCommits(id: string): Promise<() => Promise<void>> {
  const { promise, resolve } = Promise.withResolvers<void>();
  await runInDurableObject(objectOf(id), (_object, { storage }) => {
    const sync = storage.sync.bind(storage);
    // The first publish's commit alone: an end waits for its own.
    storage.sync = () => {
      storage.sync = sync;
      return promise;
    };
  });
  // Ended from within: a promise belongs to who made it.
  return () => runInDurableObject(objectOf(id), () => resolve());
}

/** Resolves when the object has been given everything that was asked before. */
const reached = (id: string) => call("GET", pathOf(id, "?touch=false"));

/** Publishes one event that is stored at once, and these while its commit goes on. */
async function together(id: string, bodies: readonly unknown[]) {
  const end = await slowCommits(id);
  const first = await publish(id, { data: "first" });
  expect(first.status).toBe(202);
  const others = bodies.map((body) => publish(id, body));
  await reached(id);
  await end();
  return Promise.all(others);
}

const dataOf = (frames: readonly { data: string }[]) => frames.map(({ data }) => data);

describe("publishes that come together", () => {
  it("are stored in the order in which they came, and each is answered with its own ids", async () => {
    const { id } = await make();
    const [reader, other] = [await follow(id), await follow(id)];
    const answers = await together(id, [
      { data: "a" },
      [{ data: "b1" }, { data: "b2" }],
      { data: "c" },
    ]);
    expect(answers.map(({ status, json }) => [status, json.writers])).toEqual(
      Array.from({ length: 3 }, () => [202, 2]),
    );
    const ids = answers.flatMap(({ json }) => json.ids ?? [json.id]);
    expect(ids.toSorted()).toEqual(ids);
    for (const one of [reader, other, await follow(id, "?from=earliest")]) {
      const frames = await one.take(5);
      expect(dataOf(frames)).toEqual(["first", "a", "b1", "b2", "c"]);
      expect(frames.slice(1).map((frame) => frame.id)).toEqual(ids);
    }
  });

  it("reach each writer as one message", async () => {
    const { id } = await make();
    const reader = await follow(id);
    let messages = 0;
    await runInDurableObject(objectOf(id), (_object, ctx) => {
      for (const socket of ctx.getWebSockets()) {
        const send = socket.send.bind(socket);
        socket.send = (message) => {
          messages++;
          send(message);
        };
      }
    });
    await together(
      id,
      Array.from({ length: 15 }, (_, n) => ({ data: n })),
    );
    expect(await reader.take(16)).toHaveLength(16);
    expect(messages).toBe(2);
  });

  it("are refused each by itself", async () => {
    const { id } = await make();
    const reader = await follow(id);
    const [fine, tooLarge, alsoFine] = await together(id, [
      { data: "a" },
      { data: "x".repeat(1_100_000) },
      { data: "b" },
    ]);
    expect([fine!.status, tooLarge!.status, alsoFine!.status]).toEqual([202, 413, 202]);
    expect(dataOf(await reader.take(3))).toEqual(["first", "a", "b"]);
  });

  it("fill the log with what nobody has read to its end and no further", async () => {
    const { id } = await make();
    for (let n = 0; n < 99; n++) {
      await publish(
        id,
        Array.from({ length: 100 }, () => ({ data: "before" })),
      );
    }
    const answers = await together(
      id,
      Array.from({ length: 101 }, (_, n) => ({ data: n })),
    );
    expect(answers.slice(0, 99).every(({ status }) => status === 202)).toBe(true);
    for (const { json } of answers.slice(99)) {
      expect(json).toMatchObject({ code: "message_channel_full" });
    }
    const reader = await follow(id);
    const last = dataOf(await reader.take(10_000)).slice(9_900);
    expect(last).toEqual(["first", ...Array(99).keys()].map(String));
  });

  it("fail each by itself: what could not be stored is neither sent nor in the log", async () => {
    const { id } = await make();
    const reader = await follow(id);
    await runInDurableObject(objectOf(id), (_object, { storage: { sql } }) => {
      const exec = sql.exec.bind(sql);
      sql.exec = ((query: string, ...bindings: unknown[]) => {
        if (query.startsWith("INSERT") && bindings.includes("bad")) throw new Error("disk full");
        return exec(query, ...bindings);
      }) as typeof sql.exec;
    });
    const answers = await together(id, [
      { data: "a" },
      [{ data: "lost with it" }, { data: "bad" }],
      { data: "b" },
    ]);
    expect(answers.map(({ status }) => status)).toEqual([202, 503, 202]);
    for (const one of [reader, await follow(id, "?from=earliest")]) {
      const frames = await one.take(3);
      expect(dataOf(frames)).toEqual(["first", "a", "b"]);
      expect(frames.map((frame) => frame.id).slice(1)).toEqual([
        answers[0]!.json.id,
        answers[2]!.json.id,
      ]);
    }
  });

  it("that are too much for a page come page by page, and cut nobody", async () => {
    const { id } = await make();
    const reader = await follow(id);
    const text = "x".repeat(200_000);
    const answers = await together(
      id,
      Array.from({ length: 12 }, (_, n) => ({ data: `${n} ${text}` })),
    );
    for (const { status } of answers) expect(status).toBe(202);
    const frames = await reader.take(13);
    expect(dataOf(frames).map((data) => data.split(" ")[0])).toEqual([
      "first",
      ...Array.from({ length: 12 }, (_, n) => String(n)),
    ]);
  });

  it("take no more than a quarter of the log at once, so that a reader who is there has them all", async () => {
    const { id } = await make({ overflow: "trim" });
    const reader = await follow(id);
    const end = await slowCommits(id);
    await publish(id, { data: "first" });
    const text = "x".repeat(100_000);
    const numbers = Array.from({ length: 60 }, (_, n) => String(n));
    const answers = numbers.map((n) => publish(id, { data: `${n} ${text}` }));
    await reached(id);
    const endAll = await slowCommits(id);
    await end();
    // A MiB of the log's four: ten of them, and the reader has these before the others are stored.
    for (const { status } of await Promise.all(answers.slice(0, 10))) expect(status).toBe(202);
    const frames = await reader.take(11);
    expect(dataOf(frames).map((data) => data.split(" ")[0])).toEqual([
      "first",
      ...numbers.slice(0, 10),
    ]);
    const { json } = await call<{ lastEventId: string }>("GET", pathOf(id, "?touch=false"));
    expect(json.lastEventId).toBe(frames.at(-1)!.id);
    await endAll();
    for (const { status } of await Promise.all(answers)) expect(status).toBe(202);
  });

  it("wait for no stranger: who may not publish is refused at once", async () => {
    const { id } = await make();
    const end = await slowCommits(id);
    await publish(id, { data: "first" });
    const { ok } = await objectOf(id).publish({ admin: false, subject: "stranger" }, [
      { data: "x" },
    ]);
    expect(ok).toBe(false);
    expect((await publish(id, { data: "x".repeat(1_100_000) })).status).toBe(413);
    await end();
  });

  it("cut a reader whose page cannot be read, and nobody waits for ever", async () => {
    const { id } = await make();
    const reader = await follow(id);
    await reader.until(/id: /);
    await runInDurableObject(objectOf(id), (_object, { storage: { sql } }) => {
      const exec = sql.exec.bind(sql);
      let failed = false;
      sql.exec = ((query: string, ...bindings: unknown[]) => {
        if (/seq > \? AND stream/.test(query) && !failed) {
          failed = true;
          throw new Error("disk I/O error");
        }
        return exec(query, ...bindings);
      }) as typeof sql.exec;
    });
    const text = "x".repeat(200_000);
    const first = await publish(id, [{ data: `1 ${text}` }, { data: `2 ${text}` }]);
    expect([first.status, first.json.writers]).toEqual([202, 0]);
    expect(await reader.rest()).toEqual([]);
    expect((await publish(id, { data: "later" })).status).toBe(202);
    const resumed = await request("GET", pathOf(id, "/events"), undefined, {
      "last-event-id": lastEventIdIn(reader.text)!,
    });
    const frames = await new SseReader(resumed.body!).take(3);
    expect(dataOf(frames).map((data) => data.split(" ")[0])).toEqual(["1", "2", "later"]);
  });

  it("find the session gone where it was deleted before them", async () => {
    const { id } = await make();
    const end = await slowCommits(id);
    await publish(id, { data: "first" });
    const late = publish(id, { data: "late" });
    await reached(id);
    expect((await call("DELETE", pathOf(id))).status).toBe(204);
    await end();
    expect((await late).status).toBe(404);
  });

  it.each(["given to another", "made again by another"])(
    "find no session where it was %s before them",
    async (how) => {
      const alice = { admin: false, subject: "alice" };
      const { id } = await make({ subject: "alice" });
      const end = await slowCommits(id);
      await publish(id, { data: "first" });
      const late = Promise.resolve(objectOf(id).publish(alice, [{ data: "late" }]));
      await reached(id);
      if (how === "made again by another") await call("DELETE", pathOf(id));
      expect((await call("PUT", pathOf(id), { subject: "bob" })).status).toBeLessThan(300);
      await end();
      expect(await late).toEqual({ ok: false, code: "session_not_found" });
      const { json } = await publish(id, { data: "bob's" });
      const replay = await (await follow(id, "?from=earliest")).take(1);
      const frames = how === "given to another" ? ["first"] : ["bob's"];
      expect(dataOf(replay)).toEqual(frames);
      expect(json.id).toBeDefined();
    },
  );

  it("are not acknowledged where the object dies before their turn", async () => {
    const { id } = await make();
    await slowCommits(id);
    expect((await publish(id, { data: "first" })).status).toBe(202);
    const others = [publish(id, { data: "a" }), publish(id, { data: "b" })];
    await reached(id);
    await kill(id);
    expect((await Promise.all(others)).map(({ status }) => status)).toEqual([503, 503]);
    expect((await publish(id, { data: "after" })).status).toBe(202);
    const reader = await follow(id);
    expect(dataOf(await reader.take(2))).toEqual(["first", "after"]);
  });
});

it("publishes at once, many and from many callers, each once and in one order for all", async () => {
  const { id } = await make();
  const readers = await Promise.all(Array.from({ length: 3 }, () => follow(id)));
  const answers = await Promise.all(Array.from({ length: 64 }, (_, n) => publish(id, { data: n })));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
  const byId = new Map(answers.map(({ json }, n) => [json.id, String(n)]));
  expect(byId.size).toBe(64);
  const expected = [...byId].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, data]) => data);
  for (const reader of readers) expect(dataOf(await reader.take(64))).toEqual(expected);
});
