/** A server with sessions asks by its standalone stream, which names no call, while many calls run beside each other. */
import { expect, it } from "vitest";
import { EraServer } from "../../support/mcp/era-server.ts";
import { startGateway } from "../../support/mcp/gateway.ts";
import {
  accepting,
  ModernClient,
  saidBy,
  type ModernAnswer,
} from "../../support/mcp/modern-client.ts";
import { TaskClient, TASKS } from "../../support/mcp/task-client.ts";
import { beside } from "../../support/scope.ts";

const TOOL = "era_ask_aside";

/** The questions of an answer to its user. */
function askedBy({ message }: ModernAnswer): (string | undefined)[] {
  return Object.values(message.result?.inputRequests ?? {}).map(({ params }) => params?.message);
}

const tags = (name: string, count: number) => Array.from({ length: count }, (_, n) => name + n);

/** A gateway in front of the server, by each of the transports. */
const ways = {
  "Streamable HTTP": (server: EraServer) => startGateway({ default: { url: server.url } }),
  "HTTP+SSE": async (server: EraServer) => {
    // A gateway is such a server, too.
    const { service } = await startGateway({ default: { url: server.url } });
    return startGateway({ default: { url: `${service.url}/sse`, transport: "sse" } });
  },
};

it.concurrent.each(Object.entries(ways))(
  "each of many calls at once is asked its own question over %s, and the next ones share the first session again",
  beside(async (_way: string, front: (server: EraServer) => Promise<{ url: string }>) => {
    const server = await EraServer.start("legacy");
    const { url } = await front(server);
    const client = new ModernClient(url);
    const askAtOnce = async (names: readonly string[]) => {
      const asked = await Promise.all(names.map((tag) => client.call(TOOL, { tag })));
      expect(asked.map(askedBy)).toEqual(names.map((tag) => [`aside ${tag}`]));
      // The last one is answered first.
      for (const [n, tag] of [...names.entries()].toReversed()) {
        const done = await client.call(TOOL, { tag }, accepting(asked[n]!));
        expect([saidBy(done), server.effects.of(tag)]).toEqual([`["accept","aside ${tag}"]`, 1]);
      }
    };
    await askAtOnce(["alone"]);
    expect(server.sessions).toHaveLength(1);
    await askAtOnce(tags("many", 6));
    expect(server.sessions).toHaveLength(6);
    // Calls that come together make one session, and no more.
    const handshakes = server.requests.filter(({ body }) => body.includes('"initialize"'));
    expect(handshakes).toHaveLength(6);
    await askAtOnce(tags("again", 6));
    await askAtOnce(["after"]);
    // A client that can be asked nothing needs none of them.
    const mute = new ModernClient(url, { capabilities: {} });
    const said = await Promise.all(
      tags("mute", 4).map((tag) => mute.call("era_echo", { tag }).then(saidBy)),
    );
    expect([said, server.sessions.length]).toEqual([tags("mute", 4), 7]);
  }),
  60_000,
);

it.concurrent(
  "calls whose questions come on their own streams share a session, at once as well",
  beside(async ({ expect }) => {
    const server = await EraServer.start("legacy");
    const { url } = await startGateway({ default: { url: server.url } });
    const client = new ModernClient(url);
    for (const count of [1, 5]) {
      const names = tags(`named${count}-`, count);
      const asked = await Promise.all(names.map((tag) => client.call("era_elicit", { tag })));
      const done = names.map((tag, n) => client.call("era_elicit", { tag }, accepting(asked[n]!)));
      expect((await Promise.all(done)).map(saidBy)).toEqual(names.map(() => '["accept","first"]'));
    }
    expect(server.sessions).toHaveLength(1);
  }),
  60_000,
);

it.concurrent(
  "a call that would need one session more than its principal may have is refused, and the others go on",
  beside(async ({ expect }) => {
    const server = await EraServer.start("legacy");
    const { url } = await startGateway(
      { default: { url: server.url, forwardAuthorization: true } },
      { MAX_SESSIONS_PER_SUBJECT: "2" },
    );
    const client = new ModernClient(url, { headers: { authorization: "Bearer bounded" } });
    const first = await client.call(TOOL, { tag: "known" });
    const second = await client.call(TOOL, { tag: "second" });
    const third = await client.call(TOOL, { tag: "third" });
    expect([askedBy(first), askedBy(second)]).toEqual([["aside known"], ["aside second"]]);
    expect(third.status).toBe(429);
    expect(third.message.error?.message).toContain("MAX_SESSIONS_PER_SUBJECT");
    const done = await client.call(TOOL, { tag: "second" }, accepting(second));
    expect(saidBy(done)).toBe('["accept","aside second"]');
    expect(askedBy(await client.call(TOOL, { tag: "again" }))).toEqual(["aside again"]);
  }),
  60_000,
);

it.concurrent(
  "the first such questions reach nobody where several calls may be meant, and never another call",
  beside(async ({ expect }) => {
    const server = await EraServer.start("legacy");
    const { url, service } = await startGateway({ default: { url: server.url } });
    const client = new ModernClient(url);
    // The session is made, and the server's stream is open.
    await client.call("era_elicit", { tag: "first" });
    const names = tags("both", 2);
    const asked = await Promise.all(names.map((tag) => client.call(TOOL, { tag })));
    for (const [n, one] of asked.entries()) {
      const { result } = one.message;
      if (result?.resultType === "input_required")
        expect(askedBy(one)).toEqual([`aside ${names[n]}`]);
      else expect(saidBy(one)).toContain("names no call");
    }
    const again = await Promise.all(tags("again", 2).map((tag) => client.call(TOOL, { tag })));
    expect(again.map(askedBy)).toEqual([["aside again0"], ["aside again1"]]);
    // That is known of the server from now on, for another client and after a restart too.
    await service.kill();
    await service.restart();
    const other = new ModernClient(url, { name: "other" });
    const late = await Promise.all(tags("late", 3).map((tag) => other.call(TOOL, { tag })));
    expect(late.map(askedBy)).toEqual([["aside late0"], ["aside late1"], ["aside late2"]]);
  }),
  60_000,
);

it.concurrent(
  "a call that its client has left asks nobody else",
  beside(async ({ expect }) => {
    const server = await EraServer.start("legacy");
    const { url } = await startGateway(
      { default: { url: server.url } },
      { KEEPALIVE_SECONDS: "0.2" },
    );
    const client = new ModernClient(url);
    const first = await client.call(TOOL, { tag: "known" });
    await client.call(TOOL, { tag: "known" }, accepting(first));
    const leaving = new AbortController();
    const call = { name: "era_ask_late", arguments: { tag: "left" } };
    const left = await client.post("tools/call", call, {}, leaving.signal);
    expect(left.status).toBe(200);
    await server.effects.until(() => server.effects.begun.has("left"));
    leaving.abort();
    await server.effects.until(() => server.effects.cancelled.has("left"));
    const own = await client.call(TOOL, { tag: "own" });
    expect(askedBy(own)).toEqual(["aside own"]);
    server.effects.done("late");
    server.effects.changed();
    const done = await client.call(TOOL, { tag: "own" }, accepting(own));
    expect(saidBy(done)).toBe('["accept","aside own"]');
  }),
  60_000,
);

it.concurrent(
  "a call in another session than the first one is cancelled too when its client leaves",
  beside(async () => {
    const server = await EraServer.start("legacy");
    const { url } = await startGateway(
      { default: { url: server.url } },
      { KEEPALIVE_SECONDS: "0.2" },
    );
    const client = new ModernClient(url);
    await client.call(TOOL, { tag: "waits" });
    const leaving = new AbortController();
    const call = { name: "era_ask_late", arguments: { tag: "left" } };
    const left = await client.post("tools/call", call, {}, leaving.signal);
    expect(left.status).toBe(200);
    await server.effects.until(() => server.effects.begun.has("left"));
    expect(server.sessions).toHaveLength(2);
    leaving.abort();
    await server.effects.until(() => server.effects.cancelled.has("left"));
  }),
  60_000,
);

it.concurrent(
  "tasks are asked their own questions as well, and go on in their sessions after kill -9",
  beside(async ({ expect }) => {
    const server = await EraServer.start("legacy");
    const tasks = { afterMs: 0, pollIntervalMs: 10 };
    const { url, service } = await startGateway({ default: { url: server.url, tasks } });
    const capabilities = { elicitation: {}, extensions: { [TASKS]: {} } };
    const client = new TaskClient(url, { capabilities });
    const begin = async (tag: string) => (await client.call(TOOL, { tag })).result.taskId;
    const asked = async (taskId: string) => {
      const { inputRequests = {} } = await client.until(taskId, "input_required", "failed");
      return Object.entries(inputRequests).map(([key, { params }]) => [
        key,
        (params as { message: string }).message,
      ]);
    };
    const answer = async (taskId: string) => {
      const given = (await asked(taskId)).map(([key, name]) => [
        key,
        { action: "accept", content: { name } },
      ]);
      const inputResponses = Object.fromEntries(given) as object;
      await client.ask("tasks/update", { taskId, inputResponses });
      const { result } = await client.until(taskId, "completed", "failed");
      return result?.content[0]?.text;
    };
    const said = (tag: string) => `["accept","aside ${tag}"]`;
    expect(await answer(await begin("alone"))).toBe(said("alone"));
    const names = tags("task", 3);
    const ids = await Promise.all(names.map(begin));
    const questions = await Promise.all(ids.map(asked));
    expect(questions.map(([one]) => one?.[1])).toEqual(names.map((tag) => `aside ${tag}`));
    await service.kill();
    await service.restart();
    for (const [n, id] of ids.entries()) expect(await answer(id)).toBe(said(names[n]!));
    for (const tag of names) expect(server.effects.of(tag)).toBe(1);
  }),
  90_000,
);
