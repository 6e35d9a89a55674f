/** Tests which principal may use which upstream session of the bridge, and which `requestState`. */
import { expect, it } from "vitest";
import { EraServer } from "../../support/mcp/era-server.ts";
import { startGateway } from "../../support/mcp/gateway.ts";
import { accepting, ModernClient, saidBy } from "../../support/mcp/modern-client.ts";
import { shared } from "../../support/scope.ts";

const start = shared(async () => {
  const server = await EraServer.start("legacy");
  const other = await EraServer.start("legacy");
  const upstreams = {
    default: { url: server.url, forwardAuthorization: true },
    other: { url: other.url, forwardAuthorization: true },
  };
  const gateway = await startGateway(upstreams, { LOG_LEVEL: "debug" });
  return { server, other, ...gateway };
});

const REFUSED = { reason: "invalid_request_state" };

it("never lets two principals share an upstream session: 200 interleaved callers", async () => {
  const { server, url } = await start();
  const callers = Array.from({ length: 200 }, (_, n) => {
    const client = new ModernClient(url, { headers: { authorization: `Bearer user-${n}` } });
    return { tag: `user-${n}`, client };
  });
  const from = server.requests.length;
  const states: string[] = [];
  for (let n = 0; n < callers.length; n += 20) {
    await Promise.all(
      callers.slice(n, n + 20).map(async ({ tag, client }, k) => {
        const asked = await client.call("era_elicit", { tag });
        const { requestState = "" } = asked.message.result ?? {};
        states.push(requestState);
        // Another caller's state is none of this one's.
        const foreign = states[k % states.length] ?? "";
        if (foreign !== requestState) {
          const more = { ...accepting(asked), requestState: foreign };
          const refused = await client.call("era_elicit", { tag }, more);
          expect(refused.message.error).toMatchObject({ code: -32602, data: REFUSED });
        }
        const done = await client.call("era_elicit", { tag }, accepting(asked));
        expect(saidBy(done)).toBe('["accept","first"]');
      }),
    );
  }
  const users = new Map<string, Set<string | null>>();
  for (const { headers } of server.requests.slice(from)) {
    const sid = headers.get("mcp-session-id");
    if (sid === null) continue;
    users.set(sid, (users.get(sid) ?? new Set()).add(headers.get("authorization")));
  }
  expect(users.size).toBe(200);
  expect([...users.values()].filter(({ size }) => size !== 1)).toEqual([]);
  for (const { tag } of callers) expect(server.effects.of(tag)).toBe(1);
}, 120_000);

it("has a session for each upstream, name and set of capabilities of one principal", async () => {
  const { server, other, url } = await start();
  const headers = { authorization: "Bearer one" };
  const before = [server.sessions.length, other.sessions.length];
  const call = (at: string, options: ConstructorParameters<typeof ModernClient>[1]) =>
    new ModernClient(at, { headers, ...options }).call("era_echo", { tag: "x" });
  await call(url, {});
  await call(url, { capabilities: { roots: {}, sampling: {}, elicitation: {} } });
  expect(server.sessions.length - before[0]!).toBe(1);
  await call(url, { name: "another" });
  await call(url, { capabilities: {} });
  await call(`${url}/other`, {});
  expect([server.sessions.length - before[0]!, other.sessions.length - before[1]!]).toEqual([3, 1]);
});

it("takes a requestState once, unaltered, at its own upstream, for the request that it is of", async () => {
  const { server, url } = await start();
  const options = { headers: { authorization: "Bearer two" } };
  const client = new ModernClient(url, options);
  const asked = await client.call("era_elicit", { tag: "once" });
  const answers = accepting(asked);
  const state = String(answers["requestState"]);
  const refusal = async (one: ModernClient, name: string, requestState: string) => {
    const { message } = await one.call(name, { tag: "once" }, { ...answers, requestState });
    expect(message.error?.data).toEqual(REFUSED);
    return message.error?.message;
  };
  const none = "requestState is none that this server gave to this caller";
  const altered = (state.startsWith("0") ? "1" : "0") + state.slice(1);
  expect(await refusal(client, "era_elicit", altered)).toBe(none);
  expect(await refusal(client, "era_elicit", "x".repeat(100_000))).toBe(none);
  const sessions = server.sessions.length;
  expect(await refusal(client, "era_elicit", `${altered}.1`)).toBe(none);
  // Nor does it show that the server's questions name no call: calls still share the session.
  const beside = ["b", "c"].map((tag) => client.call("era_elicit", { tag }));
  for (const { message } of await Promise.all(beside)) {
    expect(message.result?.resultType).toBe("input_required");
  }
  expect(server.sessions).toHaveLength(sessions);
  expect(await refusal(new ModernClient(`${url}/other`, options), "era_elicit", state)).toBe(none);
  expect(await refusal(client, "era_sample", state)).toBe(
    "requestState belongs to another request",
  );
  const twice = await Promise.all([
    client.call("era_elicit", { tag: "once" }, answers),
    client.call("era_elicit", { tag: "once" }, answers),
  ]);
  expect(twice.map(saidBy).toSorted()).toEqual(['["accept","first"]', undefined]);
  expect(await refusal(client, "era_elicit", state)).toBe("requestState was used before");
  expect(server.effects.of("once")).toBe(1);
});

it("asks again for what was not answered, and ignores what was not asked", async () => {
  const { server, url } = await start();
  const client = new ModernClient(url, { headers: { authorization: "Bearer three" } });
  const asked = await client.call("era_elicit", { tag: "again" });
  const { requestState } = accepting(asked);
  const odd = { requestState, inputResponses: { odd: { action: "accept" } } };
  const again = await client.call("era_elicit", { tag: "again" }, odd);
  expect(again.message.result?.resultType).toBe("input_required");
  const done = await client.call("era_elicit", { tag: "again" }, accepting(again));
  expect([saidBy(done), server.effects.of("again")]).toEqual(['["accept","first"]', 1]);
});

it("is no session of a client that has sessions", async () => {
  const { service, url } = await start();
  const client = new ModernClient(url, { headers: { authorization: "Bearer four" } });
  await client.call("era_echo", { tag: "x" });
  const listed = await fetch(`${service.url}/v1/sessions?limit=200`);
  const { sessions } = (await listed.json()) as { sessions: { id: string; subject?: string }[] };
  const found = sessions.filter(({ subject }) => subject?.startsWith("credential:"));
  expect(found.length).toBeGreaterThan(0);
  for (const { id } of found.slice(0, 5)) {
    const response = await fetch(url, {
      method: "POST",
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }),
      headers: {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        authorization: "Bearer four",
        "mcp-session-id": id,
      },
    });
    expect([response.status, await response.json()]).toMatchObject([
      404,
      { error: { code: -32001 } },
    ]);
    // Nor can anybody take its place before it is made, who knows what its id follows from.
    const put = await fetch(`${service.url}/v1/sessions/${id}`, {
      method: "PUT",
      body: "{}",
      headers: { "content-type": "application/json" },
    });
    expect([put.status, await put.json()]).toMatchObject([400, { code: "invalid_session_id" }]);
  }
});
