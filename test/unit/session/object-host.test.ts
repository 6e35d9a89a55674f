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
