import { expect, it } from "vitest";
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
