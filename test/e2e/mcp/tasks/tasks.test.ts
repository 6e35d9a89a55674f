/** Tasks of a server that knows nothing of them, as a client sees them. */
import { describe, expect, it, type TestContext } from "vitest";
import { messagesOf } from "../../../support/mcp/client.ts";
import { answering, startGateway, startUpstream } from "../../../support/mcp/gateway.ts";
import { TaskClient, TASKS, type ShownTask } from "../../../support/mcp/task-client.ts";
import { TaskServer } from "../../../support/mcp/task-server.ts";
import { apiTokens } from "../../../support/api-tokens.ts";
import { Relay } from "../../../support/relay.ts";
import { beside, shared } from "../../../support/scope.ts";

const UNAWARE = { elicitation: {} };
/** Every call becomes a task that the test has not released before. */
const AT_ONCE = { afterMs: 0, pollIntervalMs: 10 };
const WHILE = { afterMs: 600_000 };

const start = shared(async () => {
  const server = await TaskServer.start();
  const { url: upstream } = server;
  const gateway = await startGateway({
    default: { url: upstream, tasks: AT_ONCE },
    patient: { url: upstream, tasks: { ...WHILE, required: ["failing_job"] } },
    off: { url: upstream, tasks: false },
    brief: { url: upstream, tasks: { ...AT_ONCE, ttlSeconds: 1 } },
  });
  const client = new TaskClient(gateway.url);
  const eventsOf = async (id: string) => {
    const url = `${gateway.service.url}/v1/sessions/${id}/events`;
    const response = await fetch(url, { headers: { accept: "application/json" } });
    return (await response.json()) as {
      events: { event: string; data: ShownTask }[];
      ended: boolean;
    };
  };
  return { server, ...gateway, client, eventsOf };
});

let labels = 0;
const newLabel = () => `label-${labels++}`;

/** A task that is at work until the test releases it. */
async function held(progress: readonly string[] = []): Promise<{ taskId: string; label: string }> {
  const { client, server } = await start();
  const label = newLabel();
  const { result } = await client.call("held", { label, progress });
  await server.until(() => server.runs.has(label));
  return { taskId: result.taskId, label };
}

describe.concurrent("a task", () => {
  it(
    "lives on without its client, tells of its progress, and ends once, with the upstream's result",
    beside(async () => {
      const { client, server, eventsOf } = await start();
      const { taskId, label } = await held(["half", "nearly"]);
      for (let said; said !== "nearly";) {
        const { result } = await client.get(taskId);
        expect(result).toMatchObject({ resultType: "complete", status: "working" });
        said = result.statusMessage;
      }
      server.release(label);
      const done = await client.until(taskId, "completed");
      expect(done.result).toMatchObject({
        resultType: "complete",
        content: [{ text: `released ${label}` }],
      });
      expect(done).not.toHaveProperty("statusMessage");
      expect(server.runs.get(label)).toBe(1);
      const { events, ended } = await eventsOf(taskId);
      expect(ended).toBe(true);
      expect(events.map(({ event }) => event)).toEqual(events.map(() => "status"));
      const data = events.map((one) => JSON.parse(one.data as unknown as string) as ShownTask);
      expect([data[0]?.status, data.at(-1)]).toMatchObject([
        "working",
        { status: "completed", result: { content: [{ text: `released ${label}` }] } },
      ]);
      expect(data.map(({ statusMessage }) => statusMessage)).toContain("nearly");
    }),
  );

  it(
    "is a session of its type: listed and read, but neither made, published to nor ended by a caller",
    beside(async () => {
      const { service } = await start();
      const { taskId, label } = await held();
      const at = `${service.url}/v1/sessions`;
      const read = (await (await fetch(`${at}/${taskId}`)).json()) as object;
      expect(read).toMatchObject({
        id: taskId,
        type: "task",
        metadata: { upstream: "default", tool: "held" },
        ttlSeconds: 3600,
        maxLifetimeSeconds: 3600,
      });
      // The directory hears of it a moment later.
      while (!(await (await fetch(`${at}?type=task&limit=200`)).text()).includes(taskId));
      const send = (method: string, path: string, body?: unknown) =>
        fetch(at + path, {
          method,
          headers: { "content-type": "application/json" },
          ...(body !== undefined && { body: JSON.stringify(body) }),
        });
      const made = await send("POST", "", { type: "task" });
      expect([made.status, await made.json()]).toMatchObject([
        400,
        { code: "invalid_session_type" },
      ]);
      expect((await send("POST", `/${taskId}/events`, { data: "forged" })).status).toBe(403);
      expect((await send("POST", `/${taskId}/end`)).status).toBe(403);
      const longer = { ttlSeconds: 9000, maxLifetimeSeconds: 0 };
      for (const [method, more] of [
        ["PUT", longer],
        ["PATCH", { ttlSeconds: 9000 }],
      ] as const) {
        const changed = await send(method, `/${taskId}`, { metadata: { a: "b" }, ...more });
        expect(await changed.json()).toMatchObject({
          type: "task",
          metadata: { a: "b" },
          ttlSeconds: 3600,
          maxLifetimeSeconds: 3600,
        });
      }
      const { client, server } = await start();
      server.release(label);
      await client.until(taskId, "completed");
    }),
  );

  it(
    "is cancelled at the upstream, also when its session is deleted; a second time changes nothing",
    beside(async () => {
      const { client, server, service } = await start();
      const [one, other] = [await held(), await held()];
      const cancel = () => client.ask("tasks/cancel", { taskId: one.taskId });
      expect((await cancel()).result).toEqual({ resultType: "complete" });
      await server.until(() => server.cancelled.has(one.label));
      const { result } = await client.get(one.taskId);
      expect(result).toMatchObject({ status: "cancelled" });
      expect((await cancel()).result).toEqual({ resultType: "complete" });
      expect((await client.get(one.taskId)).result).toEqual(result);
      await fetch(`${service.url}/v1/sessions/${other.taskId}`, { method: "DELETE" });
      await server.until(() => server.cancelled.has(other.label));
      expect((await client.get(other.taskId)).error.code).toBe(-32602);
    }),
  );

  it(
    "ends with its time, at work or not, and the error names that",
    beside(async ({ expect }: TestContext) => {
      const { server, url } = await start();
      const brief = new TaskClient(`${url}/brief`);
      const label = newLabel();
      const { result } = await brief.call("held", { label });
      expect(result.ttlMs).toBe(1000);
      const refusal = async () => {
        const { error, status } = await brief.get(result.taskId);
        return [status, error?.code, error?.message];
      };
      await expect
        .poll(refusal, { timeout: 30_000 })
        .toEqual([
          200,
          -32602,
          expect.stringContaining("1 s after it was made (tasks.ttlSeconds)"),
        ]);
      // A call whose time was up before it reached the server runs nothing.
      await server.until(() => server.cancelled.has(label) || !server.runs.has(label));
    }),
  );

  it(
    "asks in rounds, under keys of its own; answers that are not asked for, or come twice, are ignored",
    beside(async () => {
      const { client, server } = await start();
      const { result } = await client.call("multi_input");
      const { taskId } = result;
      const update = async (inputResponses: object) => {
        const answer = await client.ask("tasks/update", { taskId, inputResponses });
        expect(answer.result).toEqual({ resultType: "complete" });
      };
      await update({ "1.first": { action: "decline" } });
      const asked = await client.until(taskId, "input_required", "failed");
      expect(Object.keys(asked.inputRequests ?? {})).toEqual(["1.first", "1.second"]);
      expect(asked.inputRequests?.["1.first"]).toMatchObject({ method: "elicitation/create" });
      const accept = (name: string) => ({ action: "accept", content: { name } });
      await update({ "1.first": accept("a"), nobody: accept("x"), first: accept("y") });
      const half = await client.get(taskId);
      expect(Object.keys(half.result.inputRequests ?? {})).toEqual(["1.second"]);
      await update({ "1.first": accept("again") });
      await update({ "1.second": accept("b") });
      await update({ "1.second": accept("late") });
      const done = await client.until(taskId, "completed", "failed");
      expect(done.result?.content).toMatchObject([{ text: "both" }]);
      await update({ "1.second": accept("after the end") });
      expect((await client.get(taskId)).result).toEqual({ ...done });
      const sent = server.bodies
        .filter((body) => body.includes('"inputResponses"') && body.includes("multi_input"))
        .map((body) => (JSON.parse(body) as { params: { inputResponses: object } }).params);
      expect(sent.map(({ inputResponses }) => inputResponses)).toEqual([
        { first: accept("a"), second: accept("b") },
      ]);
    }),
  );

  it(
    "is of use to its owner alone, and at its upstream alone",
    beside(async () => {
      const { server: upstream } = await start();
      const { variable, secrets } = await apiTokens({
        ada: ["ada", ["mcp"]],
        bob: ["bob", ["mcp"]],
      });
      const [ada, bob] = secrets as [string, string];
      const { url } = await startGateway(
        {
          default: { url: upstream.url, tasks: AT_ONCE },
          other: { url: upstream.url, tasks: AT_ONCE },
        },
        { AUTH: "token", API_TOKENS: variable },
      );
      const hers = new TaskClient(url, { token: ada });
      const label = newLabel();
      const { taskId } = (await hers.call("held", { label })).result;
      const strangers = [
        new TaskClient(url, { token: bob }),
        new TaskClient(`${url}/other`, { token: ada }),
      ];
      for (const stranger of strangers) {
        for (const [method, more] of VERBS) {
          const { error } = await stranger.ask(method, { taskId, ...more });
          expect([method, error.code]).toEqual([method, -32602]);
        }
        const stream = await stranger.listen({ taskIds: [taskId] });
        expect(messagesOf(await stream.rest())).toMatchObject([
          { params: { notifications: { taskIds: [] } } },
          { result: { resultType: "complete" } },
        ]);
      }
      expect((await hers.get(taskId)).result.status).toBe("working");
      upstream.release(label);
      await hers.until(taskId, "completed");
    }),
  );

  it(
    "is pushed to those who listen, from how it is now to its end",
    beside(async () => {
      const { client, server } = await start();
      const [one, other] = [await held(), await held()];
      const taskIds = [one.taskId, other.taskId];
      const stream = await client.listen({ taskIds: [...taskIds, crypto.randomUUID(), "x"] });
      const [ack, ...now] = messagesOf(await stream.take(3));
      const subscription = {
        "io.modelcontextprotocol/subscriptionId": expect.any(Number) as number,
      };
      expect(ack).toMatchObject({
        method: "notifications/subscriptions/acknowledged",
        params: { notifications: { taskIds }, _meta: subscription },
      });
      expect(now).toMatchObject([
        { method: "notifications/tasks", params: { status: "working", _meta: subscription } },
        { method: "notifications/tasks", params: { status: "working", _meta: subscription } },
      ]);
      server.release(one.label);
      const [first] = messagesOf(await stream.take(1));
      const { result } = await client.until(one.taskId, "completed");
      expect(first).toMatchObject({ params: { taskId: one.taskId, status: "completed", result } });
      await client.ask("tasks/cancel", { taskId: other.taskId });
      // Nothing more can come, so the subscription is answered.
      expect(messagesOf(await stream.rest())).toMatchObject([
        { params: { taskId: other.taskId, status: "cancelled" } },
        { result: { resultType: "complete", _meta: subscription } },
      ]);
    }),
  );

  it(
    "whose result is too large for an event is pushed whole",
    beside(async () => {
      const { server } = await start();
      const { url } = await startGateway(
        { default: { url: server.url, tasks: AT_ONCE } },
        { EVENT_MAX_BYTES: "400" },
      );
      const client = new TaskClient(url);
      const label = newLabel() + "x".repeat(400);
      const { result } = await client.call("held", { label });
      await server.until(() => server.runs.has(label));
      const stream = await client.listen({ taskIds: [result.taskId] });
      await stream.take(2);
      server.release(label);
      expect(messagesOf(await stream.rest())).toMatchObject([
        { params: { status: "completed", result: { content: [{ text: `released ${label}` }] } } },
        { result: { resultType: "complete" } },
      ]);
    }),
  );

  it(
    "is pushed beside what the client listens to at the upstream",
    beside(async () => {
      const { client, server } = await start();
      const { taskId, label } = await held();
      const stream = await client.listen({ taskIds: [taskId], toolsListChanged: true });
      const [ack, now] = messagesOf(await stream.take(2));
      expect(ack).toMatchObject({
        params: { notifications: { taskIds: [taskId], toolsListChanged: true } },
      });
      expect(now).toMatchObject({ params: { status: "working" } });
      expect(server.bodies.findLast((body) => body.includes("listen"))).not.toContain("taskIds");
      server.toolsChanged();
      server.release(label);
      const methods = messagesOf(await stream.take(2)).map(({ method }) => method);
      expect(methods.toSorted()).toEqual([
        "notifications/tasks",
        "notifications/tools/list_changed",
      ]);
      await stream.leave();
    }),
  );

  it(
    "fails with the upstream's error, and with the gateway's where the upstream is lost",
    beside(async () => {
      const { client } = await start();
      const { taskId } = (await client.call("protocol_error_job")).result;
      const failed = await client.until(taskId, "failed", "completed");
      expect(failed).toMatchObject({
        statusMessage: "it broke",
        error: { code: -32050, message: "it broke" },
      });
      expect(failed).not.toHaveProperty("result");
      const upstream = await TaskServer.start();
      const lost = await startGateway({ default: { url: upstream.url, tasks: AT_ONCE } });
      const other = new TaskClient(lost.url);
      const label = newLabel();
      const { result } = await other.call("held", { label });
      await upstream.until(() => upstream.runs.has(label));
      await upstream.stop();
      expect(await other.until(result.taskId, "failed", "completed")).toMatchObject({
        status: "failed",
        error: { code: -32603 },
      });
    }),
  );
});

const VERBS = [
  ["tasks/get", {}],
  ["tasks/update", { inputResponses: {} }],
  ["tasks/cancel", {}],
] as const;

describe.concurrent("a call that is quick", () => {
  it(
    "is answered as without tasks: its progress to a client that asked for it, and JSON to one that did not",
    beside(async () => {
      const { server, url } = await start();
      const patient = new TaskClient(`${url}/patient`);
      const [hidden, shown] = [newLabel(), newLabel()];
      const quiet = patient.call("held", { label: hidden, progress: ["a"] });
      await server.until(() => server.runs.has(hidden));
      server.release(hidden);
      expect((await quiet).messages).toMatchObject([{ result: { resultType: "complete" } }]);
      const asked = patient.call(
        "held",
        { label: shown, progress: ["a", "b"] },
        { _meta: { progressToken: "mine" } },
      );
      await server.until(() => server.runs.has(shown));
      server.release(shown);
      expect((await asked).messages).toMatchObject([
        { method: "notifications/progress", params: { progressToken: "mine", message: "a" } },
        { method: "notifications/progress", params: { progressToken: "mine", message: "b" } },
        { result: { content: [{ text: `released ${shown}` }] } },
      ]);
    }),
  );

  it(
    "keeps the upstream's status where it is refused",
    beside(async () => {
      const { url } = await start();
      const patient = new TaskClient(`${url}/patient`);
      const refused = await patient.ask(
        "tools/call",
        { name: "greet", arguments: { name: "x" } },
        { "mcp-method": "tools/list" },
      );
      expect([refused.status, refused.error.code]).toEqual([400, -32020]);
    }),
  );

  it(
    "never sends the task of 2025-11-25 on",
    beside(async () => {
      const { server, url } = await start();
      for (const capabilities of [UNAWARE, { extensions: { [TASKS]: {} } }]) {
        const name = newLabel();
        const client = new TaskClient(`${url}/patient`, { capabilities });
        const { result } = await client.call("greet", { name }, { task: { ttl: 5 } });
        expect(result).toMatchObject({ content: [{ text: `Hello, ${name}!` }] });
        const sent = server.bodies.find((body) => body.includes(name)) ?? "";
        expect(JSON.parse(sent)).not.toHaveProperty("params.task");
      }
    }),
  );
});

it.each(["modern", "legacy"])(
  "a client whose connection is reset before it is told of a task cancels its call, at a server that is %s",
  async (era) => {
    const begun = Promise.withResolvers<void>();
    const cancelled = Promise.withResolvers<void>();
    const hang = async ({ signal }: Request): Promise<Response> => {
      signal.addEventListener("abort", () => cancelled.resolve());
      begun.resolve();
      await cancelled.promise;
      return new Response();
    };
    const modern = async (request: Request) => {
      const { id, method } = (await request.clone().json()) as { id: unknown; method: string };
      if (method === "tools/call") return hang(request);
      const result = {
        resultType: "complete",
        supportedVersions: ["2026-07-28"],
        capabilities: {},
      };
      return Response.json({ jsonrpc: "2.0", id, result });
    };
    const legacy = answering((request, { method }) =>
      method === "tools/call" ? hang(request) : new Response(null, { status: 405 }),
    );
    const upstream = await startUpstream(era === "modern" ? modern : legacy);
    const { service } = await startGateway({
      default: { url: upstream.url, tasks: { afterMs: 3000 } },
    });
    const relay = await Relay.to(service.port);
    const call = new TaskClient(`${relay.url}/mcp`).call("any").catch(() => "cut");
    await begun.promise;
    relay.cut();
    expect(await call).toBe("cut");
    await cancelled.promise;
    const { json } = await service.send<{ count: number }>("GET", "/v1/sessions/count?type=task");
    expect(json).toEqual({ count: 0 });
  },
);

describe.concurrent("what is refused", () => {
  const missing = [400, -32021, { requiredCapabilities: { extensions: { [TASKS]: {} } } }];

  it(
    "a client that does not know of tasks has none, before anything else is looked at",
    beside(async () => {
      const { url } = await start();
      const unaware = new TaskClient(`${url}/patient`, { capabilities: UNAWARE });
      const refusals = [
        unaware.ask("tasks/get", { taskId: 7 }, { "mcp-name": "", "mcp-method": "" }),
        unaware.ask("tasks/update", {}, { "mcp-name": "" }),
        unaware.ask("tasks/cancel", { taskId: crypto.randomUUID() }),
        unaware.ask("subscriptions/listen", { notifications: { taskIds: "x" } }),
        unaware.call("failing_job"),
      ];
      for (const { status, error } of await Promise.all(refusals)) {
        expect([status, error.code, error.data]).toEqual(missing);
      }
    }),
  );

  it(
    "bad parameters, headers and methods get the codes of the specification",
    beside(async () => {
      const { client } = await start();
      const taskId = crypto.randomUUID();
      const cases = [
        [client.ask("tasks/get", { taskId: 7 }, { "mcp-name": "7" }), 400, -32020],
        [client.ask("tasks/get", {}), 400, -32020],
        [client.ask("tasks/get", { taskId }, { "mcp-name": "" }), 400, -32020],
        [client.ask("tasks/get", { taskId }, { "mcp-method": "tasks/cancel" }), 400, -32020],
        [client.ask("tasks/get", { taskId }, { "mcp-protocol-version": "" }), 400, -32020],
        [client.ask("tasks/get", { taskId }), 200, -32602],
        [client.ask("tasks/get", { taskId: taskId.toUpperCase() }), 200, -32602],
        [client.ask("tasks/get", { taskId: "x" }), 200, -32602],
        [client.ask("tasks/update", { taskId }), 400, -32602],
        [client.ask("tasks/update", { taskId, inputResponses: [] }), 400, -32602],
        [client.ask("tasks/update", { taskId, inputResponses: { a: 1 } }), 400, -32602],
        [client.ask("tasks/list"), 404, -32601],
        [client.ask("tasks/result", { taskId }), 404, -32601],
        [client.ask("subscriptions/listen", { notifications: { taskIds: [7] } }), 400, -32602],
      ] as const;
      for (const [n, [asked, status, code]] of cases.entries()) {
        const answer = await asked;
        expect([n, answer.status, answer.error.code]).toEqual([n, status, code]);
      }
    }),
  );

  it(
    "a listen to tasks whose headers differ from its body, and a request about tasks under a version with sessions",
    beside(async () => {
      const { client } = await start();
      const { taskId } = await held();
      const listen = (headers: Record<string, string>, notifications: object, _meta = {}) =>
        client.ask("subscriptions/listen", { notifications, _meta }, headers);
      const old = { "io.modelcontextprotocol/protocolVersion": "2025-11-25" };
      const alone = { taskIds: [taskId] };
      const cases = [
        [listen({ "mcp-method": "" }, alone), -32020],
        [listen({ "mcp-method": "tools/list" }, alone), -32020],
        [listen({ "mcp-protocol-version": "" }, alone), -32020],
        [listen({ "mcp-protocol-version": "2025-11-25" }, alone), -32020],
        [listen({ "mcp-method": "" }, { ...alone, toolsListChanged: true }), -32020],
        [listen({ "mcp-protocol-version": "2025-11-25" }, alone, old), -32022],
        ...["tasks/get", "tasks/update", "tasks/cancel"].map((method) => {
          const params = { taskId, inputResponses: {}, _meta: old };
          const headers = { "mcp-protocol-version": "2025-11-25" };
          return [client.ask(method, params, headers), -32022] as const;
        }),
        [listen({}, alone, { "io.modelcontextprotocol/clientInfo": 7 }), -32602],
      ] as const;
      for (const [n, [asked, code]] of cases.entries()) {
        const { status, error } = await asked;
        expect([n, status, error?.code]).toEqual([n, 400, code]);
      }
      expect((await client.get(taskId)).result.status).toBe("working");
    }),
  );

  it(
    "params that are no object get -32602, and reach no task and no server",
    beside(async () => {
      const server = await TaskServer.start();
      const { url } = await startGateway({ default: { url: server.url, tasks: AT_ONCE } });
      const client = new TaskClient(url);
      const { taskId } = (await client.call("held", { label: "kept" })).result;
      await server.until(() => server.runs.has("kept"));
      const sent = server.bodies.length;
      const about = { name: "held", arguments: { label: "none" }, taskId };
      const methods = ["tasks/get", "tasks/update", "tasks/cancel", "tools/call"];
      for (const method of [...methods, "subscriptions/listen", "tasks/list"]) {
        for (const params of [[], [about], null, taskId, 7, true]) {
          const { status, messages } = await client.sendBare(method, params);
          const message = "params is no object, which 2026-07-28 requires";
          const error = { code: -32602, message };
          expect([method, status, messages]).toMatchObject([method, 400, [{ error }]]);
        }
      }
      expect((await client.get(taskId)).result.status).toBe("working");
      expect([server.bodies.length, server.cancelled.size, [...server.runs]]).toEqual([
        sent,
        0,
        [["kept", 1]],
      ]);
    }),
  );

  it(
    "`tasks` false leaves all of it to the upstream",
    beside(async () => {
      const { url } = await start();
      const off = new TaskClient(`${url}/off`);
      const { result } = await off.ask("server/discover");
      expect(result).not.toHaveProperty("capabilities.extensions");
      expect((await off.get(crypto.randomUUID())).error.code).toBe(-32601);
    }),
  );

  it(
    "an upstream that offers tasks itself is passed through, its answers untouched",
    beside(async () => {
      const extensions = { [TASKS]: { own: true } };
      const discovered = {
        resultType: "complete",
        supportedVersions: ["2026-07-28"],
        capabilities: { extensions },
      };
      const upstream = await startUpstream(async (request) => {
        const { id, method } = (await request.json()) as { id: unknown; method: string };
        const answer =
          method === "server/discover"
            ? discovered
            : { resultType: "task", taskId: "theirs", heard: method };
        return Response.json({ jsonrpc: "2.0", id, result: answer });
      });
      const { url, service } = await startGateway(
        { default: { url: upstream.url } },
        { LOG_LEVEL: "debug" },
      );
      const client = new TaskClient(url);
      expect((await client.call("any")).result).toMatchObject({ taskId: "theirs" });
      expect((await client.get(crypto.randomUUID())).result).toMatchObject({ heard: "tasks/get" });
      expect((await client.ask("server/discover")).result).toEqual(discovered);
      expect(service.lines.filter(({ event }) => event === "object.start")).toEqual([]);
    }),
  );

  it(
    "a task from before the upstream offered some itself is found, and another is the upstream's to refuse",
    beside(async () => {
      let offers = false;
      const refusal = { code: -32602, message: "theirs is unknown" };
      const ended = Promise.withResolvers<void>();
      const upstream = await startUpstream(async (request) => {
        const { id, method } = (await request.json()) as { id: unknown; method: string };
        if (method.startsWith("tasks/"))
          return Response.json({ jsonrpc: "2.0", id, error: refusal });
        if (method === "tools/call") await ended.promise;
        const result = {
          resultType: "complete",
          content: [{ type: "text", text: "done" }],
          supportedVersions: ["2026-07-28"],
          capabilities: offers ? { extensions: { [TASKS]: {} } } : {},
        };
        return Response.json({ jsonrpc: "2.0", id, result });
      });
      const { url } = await startGateway({ default: { url: upstream.url, tasks: AT_ONCE } });
      const client = new TaskClient(url);
      const { taskId } = (await client.call("any")).result;
      offers = true;
      await client.ask("server/discover");
      expect((await client.get(taskId)).result.status).toBe("working");
      ended.resolve();
      const { result } = await client.until(taskId, "completed");
      expect(result?.content).toEqual([{ type: "text", text: "done" }]);
      for (const other of [crypto.randomUUID(), "x", 7]) {
        expect((await client.ask("tasks/get", { taskId: other })).error).toEqual(refusal);
      }
    }),
  );

  it(
    "more tasks than an owner may have: the call is cancelled, and the error names the bound",
    beside(async () => {
      const server = await TaskServer.start();
      const { variable, secrets } = await apiTokens({ ada: ["ada", ["mcp"]] });
      const { url } = await startGateway(
        { default: { url: server.url, tasks: AT_ONCE } },
        { AUTH: "token", API_TOKENS: variable, MAX_TASKS_PER_OWNER: "1" },
      );
      const client = new TaskClient(url, { token: secrets[0]! });
      await client.call("held", { label: "one" });
      const { status, error } = await client.call("held", { label: "two" });
      expect([status, error.message]).toEqual([
        429,
        expect.stringContaining("1 tasks, the most that MAX_TASKS_PER_OWNER allows") as string,
      ]);
      await server.until(() => server.cancelled.has("two") || !server.runs.has("two"));
    }),
  );

  it(
    "a caller that nobody has identified is counted by its address, and has a bound too",
    beside(async () => {
      const { server } = await start();
      const { url } = await startGateway(
        { default: { url: server.url, tasks: AT_ONCE } },
        { MAX_TASKS_PER_OWNER: "1" },
      );
      const [client, other] = [new TaskClient(url), new TaskClient(url)];
      const { taskId } = (await client.call("held", { label: newLabel() })).result;
      const { status, error } = await other.call("held", { label: newLabel() });
      expect([status, error.message]).toEqual([
        429,
        expect.stringContaining("MAX_TASKS_PER_OWNER") as string,
      ]);
      // A caller without identity may read the task if it knows the id.
      expect((await other.get(taskId)).result.status).toBe("working");
    }),
  );
});
