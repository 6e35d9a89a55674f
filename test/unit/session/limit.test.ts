/** The limit of sessions of a subject, over every way in which one comes to have another session. */
import { expect, it } from "vitest";
import { requireSessionId } from "../../../src/core/id.ts";
import { startPlatform } from "../../support/platform/platform.ts";

const ids = [1, 2].map((n) => requireSessionId(`00000000-0000-4000-8000-00000000000${n}`));

it("counts a session that is given to another subject, and none whose content is replaced", async () => {
  const platform = startPlatform({ DIRECTORY_SHARDS: "1" });
  const sessions = platform.host(1).as({ admin: true });
  const done = async <T>(work: Promise<T>): Promise<T> => {
    work.catch(() => undefined);
    await platform.pass(1000);
    return work;
  };
  const of = (subject: string) => ({
    type: "sse" as const,
    metadata: {},
    ttlMs: 600_000,
    maxLifetimeMs: 0,
    subject,
  });
  const [first, second] = [ids[0]!, ids[1]!];
  await done(sessions.create(first, of("alice")));
  await done(sessions.create(second, of("bob")));
  await expect(done(sessions.upsert(first, of("bob")))).rejects.toMatchObject({
    code: "rate_limited",
  });
  expect(await done(sessions.upsert(first, of("alice")))).toMatchObject({ created: false });
  await done(sessions.delete(second));
  expect(await done(sessions.upsert(first, of("bob")))).toMatchObject({
    session: { subject: "bob" },
  });
});
