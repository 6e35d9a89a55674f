/**
 * Sessions that readers hold open send the directory nothing for most of their TTLs. Meanwhile
 * readers leave, objects are lost and messages fail. A listing shows each session's deadline all the same.
 */
import fc from "fast-check";
import { expect, it, vi } from "vitest";
import type { SessionView, StreamSocket } from "../../../src/core/host.ts";
import type { SessionId } from "../../../src/core/id.ts";
import { settle } from "../../support/platform/interleaved.ts";
import { startPlatform, type Platform } from "../../support/platform/platform.ts";

const HOUR = 3_600_000;
const ADMIN = { admin: true };
/** How long each session lives at the most; 0: no limit. */
const LIFETIMES = [0, 5 * HOUR, 30 * HOUR];
const SHARDS = 2;
/** The last is too long for a renewal. */
const TTLS = [HOUR / 6, 2 * HOUR, 9 * HOUR, 40 * HOUR];
/** A message that failed is sent again after so long at the most. */
const CALM_MS = 400_000;

const session = fc.nat({ max: LIFETIMES.length - 1 });
const ttlMs = fc.constantFrom(...TTLS);
const is = <T extends string>(name: T) => fc.constant(name);
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: is("make"), session, ttlMs }) },
  { weight: 6, arbitrary: fc.record({ do: is("follow"), session }) },
  { weight: 3, arbitrary: fc.record({ do: is("leave"), session }) },
  { weight: 2, arbitrary: fc.record({ do: is("use"), session }) },
  { weight: 2, arbitrary: fc.record({ do: is("patch"), session, ttlMs }) },
  { weight: 1, arbitrary: fc.record({ do: is("end"), session }) },
  { weight: 2, arbitrary: fc.record({ do: is("evict"), session }) },
  { weight: 2, arbitrary: fc.record({ do: is("kill"), session }) },
  { weight: 1, arbitrary: fc.record({ do: is("kill shard"), shard: fc.nat({ max: SHARDS - 1 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: is("shards"),
      weather: fc.constantFrom("well", "refuse", "lose the answer"),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: is("moments"), ms: fc.nat({ max: 30 }) }) },
  { weight: 8, arbitrary: fc.record({ do: is("hours"), hours: fc.constantFrom(0.2, 1, 3, 25) }) },
  { weight: 6, arbitrary: fc.record({ do: is("look") }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class Play {
  readonly platform: Platform = startPlatform({ DIRECTORY_SHARDS: String(SHARDS) });
  readonly #ids = LIFETIMES.map((_, n) => `00000000-0000-4000-8000-00000000000${n}` as SessionId);
  readonly #readers = new Map<string, StreamSocket[]>();
  /** A crash has hidden these from the directory until their next use, or for a TTL. */
  readonly #hidden = new Map<string, number>();
  /** Sessions whose object was lost with its readers. */
  readonly #lost = new Set<string>();
  #weather = "well";

  constructor() {
    this.platform.intercept = async (call, go) => {
      if (!call.endsWith(" deliver") || this.#weather === "well") return go();
      if (this.#weather === "refuse") throw new Error("shard down");
      await go();
      throw new Error("answer lost");
    };
  }

  async step(next: Step): Promise<void> {
    const { platform } = this;
    switch (next.do) {
      case "hours":
        return this.#pass(next.hours * HOUR);
      case "moments":
        await vi.advanceTimersByTimeAsync(next.ms);
        return;
      case "look":
        return this.look();
      case "shards":
        this.#weather = next.weather;
        return;
      case "kill shard":
        platform.shard(next.shard).kill();
        return;
    }
    await this.#act(next, this.#ids[next.session]!);
    await settle();
  }

  async #act(next: Extract<Step, { session: number }>, id: string): Promise<unknown> {
    const host = this.platform.session(id);
    const call = (method: string, ...args: unknown[]) => host.call(method, [ADMIN, ...args]);
    const isUse = next.do === "leave" ? this.#readers.get(id)?.length : next.do !== "evict";
    if (isUse) this.#hidden.delete(id);
    switch (next.do) {
      case "make": {
        const [ttlMs, maxLifetimeMs] = [next.ttlMs, LIFETIMES[next.session]];
        return call("upsert", id, { type: "mcp", metadata: {}, ttlMs, maxLifetimeMs });
      }
      case "follow":
        return this.#follow(id);
      case "leave":
        return this.#readers.get(id)?.pop()?.close();
      case "use":
        return call("read", true);
      case "patch":
        return call("patch", { ttlMs: next.ttlMs });
      case "end":
        return call("remove");
      case "evict":
        if (host.isIdle) host.evict();
        return;
      case "kill":
        if (this.#readers.delete(id)) this.#lost.add(id);
        this.#hidden.set(id, Date.now());
        return host.kill();
    }
  }

  async #follow(id: string): Promise<void> {
    const attachment = JSON.stringify({ caller: ADMIN, start: { kind: "queued" } });
    const url = `https://session.invalid/?attach=${encodeURIComponent(attachment)}`;
    const { webSocket } = await this.platform.session(id).fetch(url);
    const socket = webSocket as StreamSocket | null;
    if (!socket) return;
    socket.accept?.();
    this.#readers.set(id, [...(this.#readers.get(id) ?? []), socket]);
  }

  /** Lets time pass. Each alarm fires when it is due, and its work is done in no time. */
  async #pass(ms: number): Promise<void> {
    const { platform } = this;
    const until = Date.now() + ms;
    for (;;) {
      // Messages that are under way arrive or fail, which may set an alarm.
      await settle();
      await vi.advanceTimersByTimeAsync(100);
      const hosts = [...platform.sessions.values(), ...platform.shards.values()];
      const due = Math.min(...hosts.map(({ disk }) => disk.alarm ?? Infinity));
      const at = Math.min(due, Math.max(until, Date.now()));
      await vi.advanceTimersByTimeAsync(Math.max(0, at - Date.now()));
      if (due > at) return;
      void platform.fireAlarms();
    }
  }

  /** Compares the listing with the sessions, once the directory can know of them. */
  async look(): Promise<void> {
    const { platform } = this;
    this.#weather = "well";
    await this.#pass(CALM_MS);
    const listed = new Map(
      (await platform.directory.list({ limit: 100 })).sessions.map((one) => [one.id, one]),
    );
    for (const id of this.#ids) {
      const read = platform.session(id).call("read", [ADMIN, false]);
      const { value: view } = (await read) as { value?: SessionView };
      const entry = listed.get(id);
      const hiddenAt = this.#hidden.get(id);
      if (hiddenAt !== undefined && Date.now() <= hiddenAt + (view?.ttlMs ?? 0)) continue;
      expect(entry !== undefined, `listed: ${id}`).toBe(view !== undefined);
      if (!view || !entry) continue;
      const { ttlMs, maxLifetimeMs, createdAt, expiresAt } = view;
      const ahead = entry.expiresAt - expiresAt;
      if (maxLifetimeMs > 0) {
        expect(entry.expiresAt).toBeLessThanOrEqual(createdAt + maxLifetimeMs);
      }
      const drift = ttlMs * (1 / 4 + 1 / 16);
      expect(ahead).toBeLessThanOrEqual(drift);
      // Until its next alarm a session does not tell of a deadline that moves because readers hold it open, or
      // because an object that was lost with its readers leaves them a TTL to come back.
      const isHeld = view.writers > 0 || this.#lost.has(id);
      expect(ahead).toBeGreaterThanOrEqual(-drift - (isHeld ? ttlMs : 0));
    }
  }
}

it("lists every session with its deadline, whatever comes between two looks", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 60, size: "max" }),
      async (steps) => {
        const play = new Play();
        for (const next of steps) await play.step(next);
        await play.look();
      },
    ),
    { numRuns: Number(process.env["HELD_RUNS"] ?? 60) },
  );
});
