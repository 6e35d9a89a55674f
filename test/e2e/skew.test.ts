/**
 * Deploy skew: for some minutes after a deploy Cloudflare runs old objects under a new Worker, or
 * new ones under an old. Nothing acknowledged is lost, and no answer is a 5xx but a 503 with
 * Retry-After.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, inject, it } from "vitest";
import { ROUTES } from "../../src/app.ts";
import type { SessionList } from "../../src/core/api.ts";
import { HAS_PREVIOUS_RELEASE, previousRelease } from "../support/previous-release.ts";
import { beside, shared } from "../support/scope.ts";
import { Service, type ServiceOptions } from "../support/service.ts";
import { SkewTraffic } from "../support/skew-traffic.ts";

/** Operations that may be refused with 503 while code is mixed. Name one here if `CALL_VERSION` was raised for it. */
const REFUSED: readonly string[] = [];

const BOTH = ["SessionObject", "DirectoryObject"];

const previous = shared(previousRelease);

const of = (classes: readonly string[], bundle: string) =>
  Object.fromEntries(classes.map((name) => [name, bundle]));

/** Which code runs, between the whole of the old and the whole of the new. */
const MIXED: Readonly<Record<string, (old: string, current: string) => ServiceOptions>> = {
  "old objects under a new Worker": (old) => ({ objects: of(BOTH, old) }),
  "new objects under an old Worker": (old, current) => ({
    bundle: old,
    objects: of(BOTH, current),
  }),
  "old sessions, and a new directory": (old) => ({ objects: of(["SessionObject"], old) }),
  "new sessions, and an old directory": (old) => ({ objects: of(["DirectoryObject"], old) }),
};

/** Operations of the service that reach no object, or that the release before does not have. */
const WITHOUT_OBJECT = ["health", "openapi", "resourceMetadata", "ready"];

const OPERATIONS = ROUTES.map(({ operationId }) => operationId).filter(
  (name) => !WITHOUT_OBJECT.includes(name),
);

// Without the history of the repository there is no release before.
it.runIf(HAS_PREVIOUS_RELEASE).concurrent.each(Object.entries(MIXED))(
  "loses nothing with %s",
  { timeout: 180_000 },
  beside(async (_: string, mixed: (typeof MIXED)[string]) => {
    const old = await previous();
    const service = await Service.start({ TICKET_SECRET: "t".repeat(32) }, { bundle: old });
    const traffic = new SkewTraffic(service);
    const runWith = async (options: ServiceOptions, refused: readonly string[]) => {
      await service.kill();
      service.deploy(options);
      await service.restart();
      expect(await traffic.losses()).toEqual([]);
      await traffic.run();
      // While a deploy runs, a new Worker is ready over old objects; the old one does not know the question.
      expect([200, 404]).toContain((await service.fetch("/readyz")).status);
      expect([...traffic.refused].filter((operation) => !refused.includes(operation))).toEqual([]);
      // Each of them was called, so none is missing here.
      const expected = OPERATIONS.filter((operation) => !traffic.refused.has(operation));
      expect([...traffic.done]).toEqual(expect.arrayContaining(expected));
      expect(await traffic.losses()).toEqual([]);
    };
    await runWith({ bundle: old }, []);
    await runWith(mixed(old, inject("bundle")), REFUSED);
    await runWith({}, []);
    expect(service.lines.filter(({ event }) => event === "request.crashed")).toEqual([]);
  }),
);

/** Long enough for a start of the service, and for its reader to come back. */
const TTL_S = 12;

it.runIf(HAS_PREVIOUS_RELEASE).concurrent(
  "lists a session that a reader holds open with its deadline, after a roll-back and an upgrade",
  { timeout: 180_000 },
  beside(async ({ expect }) => {
    const old = await previous();
    const service = await Service.start();
    const { id } = await service.make({ ttlSeconds: TTL_S });
    const readers: unknown[] = [];
    const follow = async () => {
      const { body } = await service.fetch(`/v1/sessions/${id}/events`);
      const reader = body?.getReader();
      // Node cancels a body that nobody has any more.
      readers.push(reader);
      await reader?.read();
    };
    const deadline = async () => {
      const { json } = await service.send<SessionList>("GET", "/v1/sessions");
      return Date.parse(json.sessions.find((one) => one.id === id)?.expiresAt ?? "") / 1000;
    };
    /** The deadline in the list goes on with the clock: no message does that. */
    const renews = async () => {
      const inASecond = async () => {
        const before = await deadline();
        await sleep(1000);
        return Math.round((await deadline()) - before);
      };
      await expect.poll(inASecond).toBe(1);
    };
    await follow();
    await renews();
    for (const options of [{ bundle: old }, {}]) {
      await service.kill();
      service.deploy(options);
      await service.restart();
      const back = Date.now() / 1000;
      await follow();
      const ahead = async () => (await deadline()) - Date.now() / 1000;
      await expect.poll(ahead).toBeLessThanOrEqual(TTL_S);
      expect(await deadline()).toBeGreaterThanOrEqual(back + TTL_S * 0.75);
    }
    await renews();
    expect(readers).toHaveLength(3);
  }),
);
