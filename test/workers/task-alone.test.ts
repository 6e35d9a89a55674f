/**
 * A task's object is lost in the middle of its call, alone or with the session of the bridge just after: the task
 * comes for the answer.
 */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { requireSessionId, type SessionId } from "../../src/core/id.ts";
import { awake } from "../../src/signals/awake.ts";
import { call } from "../support/call.ts";
import { begun, letGo, sessionFetch } from "../support/mcp/bidden-server.ts";
import { MemoryEventStore } from "../support/mcp/event-store.ts";
import { callAsk } from "../support/mcp/task-ask.ts";
import { kill, objectOf } from "../support/object.ts";

/** The slow server opens no session before its upstream is among these, which have a task. */
const tasked = new Set<string>();

async function slowly(sent: Request, answer: (sent: Request) => Promise<Response>) {
  while (!tasked.has("slow")) await new Promise((resolve) => setTimeout(resolve, 5));
  return answer(sent);
}

beforeEach(() => {
  const [plain, resumable] = [sessionFetch(), sessionFetch(new MemoryEventStore())];
  vi.stubGlobal("fetch", (input: RequestInfo | URL, init?: RequestInit) => {
    const sent = new Request(input, init);
    if (sent.url.includes("slow")) return slowly(sent, plain);
    return sent.url.includes("resumable") ? resumable(sent) : plain(sent);
  });
  const server = (host: string, afterMs = 0) => ({
    url: `https://${host}.example/mcp`,
    era: "legacy",
    tasks: { afterMs },
  });
  Object.assign(env, {
    UPSTREAMS: JSON.stringify({
      default: server("plain"),
      resumable: server("resumable"),
      slow: server("slow", 2000),
    }),
  });
});
afterEach(() => void vi.unstubAllGlobals());

/** Has a call become a task, and resolves once the server is at work on it. */
async function begin(upstream: string, label: string): Promise<SessionId> {
  const id = requireSessionId(crypto.randomUUID());
  const owner = `of-${label}`;
  const ask = callAsk({ upstream, args: { label }, owner, principal: owner });
  const made = await objectOf(id).task({ admin: true }, id, ask);
  expect(made).toMatchObject({ ok: true });
  tasked.add(upstream);
  await expect.poll(() => begun.has(label), { timeout: 20_000 }).toBe(true);
  return id;
}

it.each([
  ["the server answers before the session can know", "default"],
  ["the server opened the session only when the call was a task", "slow"],
])("nobody asks for the task, and %s", async (_, upstream) => {
  const label = `alone-${upstream}`;
  const id = await begin(upstream, label);
  await kill(id);
  letGo(label);
  // To look at the rows has the object do nothing.
  const told = () =>
    runInDurableObject(objectOf(id), (_object, { storage: { sql } }) =>
      sql.exec<{ data: string }>("SELECT data FROM events ORDER BY seq").toArray(),
    );
  await expect
    .poll(async () => (await told()).at(-1)?.data, { timeout: 20_000 })
    .toContain(`did ${label}`);
});

it("the session is lost as well, with the answer that the task has not stored: the server is asked for it", async () => {
  const id = await begin("resumable", "both");
  const path = "/v1/sessions?type=mcp&subject=of-both";
  type Page = { readonly sessions: readonly { readonly id: string }[] };
  const listed = async () => (await call<Page>("GET", path)).json.sessions[0]?.id;
  await expect.poll(listed).toBeDefined();
  const session = (await listed()) ?? "";
  await kill(id);
  letGo("both");
  // The server has answered.
  await expect.poll(() => awake.openExchanges()).toBe(0);
  await kill(session);
  const state = async () => {
    const shown = await objectOf(id).task({ admin: true }, id, {
      kind: "get",
      upstream: "resumable",
    });
    return JSON.stringify(shown);
  };
  await expect.poll(state, { timeout: 20_000 }).not.toContain("working");
  expect(await state()).toContain("did both");
});
