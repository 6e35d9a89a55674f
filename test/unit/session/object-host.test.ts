import { expect, it } from "vitest";
import { CALL_VERSION } from "../../../src/core/caller.ts";
import { DurableObjectHost } from "../../../src/session/object-host.ts";
import { UnavailableError } from "../../../src/core/errors.ts";
import { newSessionId } from "../../../src/library/model/session.ts";

/** A session that is removed by the first call, whose answer is lost on its way. */
function losingTheFirstAnswer() {
  let there = true;
  const remove = async () => {
    if (!there) return { ok: true, value: false };
    there = false;
    throw Object.assign(new Error("connection lost"), { retryable: true });
  };
  const namespace = { idFromName: (name: string) => name, get: () => ({ remove }) };
  // All of the platform's namespace that a removal uses.
  return new DurableObjectHost(namespace as never).as({ admin: true });
}

it("asks again for a removal whose answer was lost", async () => {
  expect(await losingTheFirstAnswer().delete(newSessionId())).toBe(false);
});

it("does not ask again for a conditional one, which would be refused for what it did itself", async () => {
  const removal = losingTheFirstAnswer().delete(newSessionId(), "*");
  await expect(removal).rejects.toThrow(UnavailableError);
});

/** A session to which each publish is stored, and whose first answer is lost. */
function publishedTo() {
  const calls: unknown[] = [];
  const publish = async (...call: unknown[]) => {
    calls.push(call);
    if (calls.length > 1) return { ok: true, value: { ids: ["id"], writers: 0, replayed: true } };
    throw Object.assign(new Error("connection lost"), { retryable: true });
  };
  const namespace = { idFromName: (name: string) => name, get: () => ({ publish }) };
  // All of the platform's namespace that a publish uses.
  return { calls, sessions: new DurableObjectHost(namespace as never).as({ admin: true }) };
}

it("asks again for a publish under a key, which happens once however often it is asked for", async () => {
  const { calls, sessions } = publishedTo();
  const published = await sessions.publish(newSessionId(), [{ data: "a" }], "k");
  expect(published).toMatchObject({ ids: ["id"], replayed: true });
  expect(calls).toHaveLength(2);
  expect(calls[0]).toEqual([
    { admin: true, version: CALL_VERSION },
    [{ data: "a" }],
    { key: "k", fingerprint: expect.any(String) as string },
  ]);
});

it("does not ask again for a publish without a key, which would happen twice", async () => {
  const { calls, sessions } = publishedTo();
  const publish = sessions.publish(newSessionId(), [{ data: "a" }]);
  await expect(publish).rejects.toThrow(UnavailableError);
  expect(calls).toHaveLength(1);
});

it("refuses a bad key by name, and asks for nothing", async () => {
  const { calls, sessions } = publishedTo();
  const publish = sessions.publish(newSessionId(), [{ data: "a" }], "");
  await expect(publish).rejects.toThrow(/^Idempotency-Key: /);
  expect(calls).toEqual([]);
});

it.each([
  ["as text", '{"id":1}'],
  [
    "as an object of an earlier version answers",
    { ok: true, value: { kind: "json", status: 200, body: '{"id":1}', headers: {} } },
  ],
])("reads the answer to a call %s", async (_how, answer) => {
  const exchange = async () => answer;
  const namespace = { idFromName: (name: string) => name, get: () => ({ exchange }) };
  // All of the platform's namespace that an exchange uses.
  const sessions = new DurableObjectHost(namespace as never).as({ admin: true });
  const read = await sessions.exchange(newSessionId(), {} as never);
  expect(read).toMatchObject({ kind: "json", status: 200, body: '{"id":1}' });
});

/** A session whose object answers each call of `method` as these do in turn; the last one goes on. */
function answering(method: string, ...answers: readonly (() => Promise<unknown>)[]) {
  let calls = 0;
  const answer = () => answers[Math.min(calls++, answers.length - 1)]?.();
  const namespace = { idFromName: (name: string) => name, get: () => ({ [method]: answer }) };
  // All of the platform's namespace that these calls use.
  const host = new DurableObjectHost(namespace as never);
  return { sessions: host.as({ admin: true }), calls: () => calls };
}

const failing = (marks: object) => () =>
  Promise.reject<unknown>(Object.assign(new Error("of the platform"), marks));
const overloaded = failing({ retryable: true, overloaded: true });
const lost = failing({ retryable: true });
const ID = newSessionId();

type Call = (sessions: ReturnType<DurableObjectHost["as"]>) => Promise<unknown>;

const REPEATABLE: readonly [method: string, call: Call, value: unknown][] = [
  ["read", (sessions) => sessions.read(ID, true), {}],
  ["remove", (sessions) => sessions.delete(ID), true],
  ["readEvents", (sessions) => sessions.readEvents(ID, {} as never), {}],
  ["publish", (sessions) => sessions.publish(ID, [{ data: "a" }], "k"), { ids: [] }],
  ["endStream", (sessions) => sessions.endStream(ID, undefined), {}],
  ["disconnect", (sessions) => sessions.disconnect(ID), null],
];
const ONCE: readonly [method: string, call: Call][] = [
  ["create", (sessions) => sessions.create(ID, {} as never)],
  ["initialize", (sessions) => sessions.initialize(ID, {} as never, {} as never)],
  ["exchange", (sessions) => sessions.exchange(ID, {} as never)],
  ["patch", (sessions) => sessions.patch(ID, {} as never)],
  ["upsert", (sessions) => sessions.upsert(ID, {} as never)],
  ["task", (sessions) => sessions.task(ID, { kind: "call" } as never)],
  ["publish", (sessions) => sessions.publish(ID, [{ data: "a" }])],
];

it.each<[method: string, call: Call, value?: unknown]>([...ONCE, ...REPEATABLE])(
  "does not ask an overloaded object again for %s, and says that it is not available",
  async (method, call) => {
    const { sessions, calls } = answering(method, overloaded);
    await expect(call(sessions)).rejects.toThrow(UnavailableError);
    expect(calls()).toBe(1);
  },
);

it.each(ONCE)(
  "asks once for %s, whose answer may be lost after it has happened",
  async (method, call) => {
    const { sessions, calls } = answering(method, lost);
    await expect(call(sessions)).rejects.toThrow(UnavailableError);
    expect(calls()).toBe(1);
  },
);

it.each(REPEATABLE)("asks again for %s, twice at most", async (method, call, value) => {
  const late = answering(method, lost, lost, async () => ({ ok: true, value }));
  await call(late.sessions);
  expect(late.calls()).toBe(3);
  const never = answering(method, lost);
  await expect(call(never.sessions)).rejects.toThrow(UnavailableError);
  expect(never.calls()).toBe(3);
});
