/**
 * A session may end, be made again or move to another owner, or its object be lost, between the two
 * sides of an await. Every call, answer and commit of the objects and of the directory waits here until
 * a random plan lets it go on, beside shards that refuse, hang or lose their answers.
 */
import fc from "fast-check";
import { expect, it, vi } from "vitest";
import { newSessionId } from "../../../src/library/model/session.ts";
import { Interleaved, settle, stateOf } from "../../support/platform/interleaved.ts";
import type { StreamSocket } from "../../../src/core/host.ts";

const OWNERS = ["alice", "bob"] as const;
const TYPES = ["mcp", "sse"] as const;
const IDS = 2;
const SHARDS = 2;

const session = fc.nat({ max: IDS - 1 });
const owner = fc.constantFrom(...OWNERS);
const type = fc.constantFrom(...TYPES);
const times = fc.integer({ min: 1, max: 8 });
const is = <T extends string>(name: T) => fc.constant(name);
const WEATHERS = ["well", "refuses", "loses the answer", "hangs"] as const;

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: is("create"), session, owner, type }) },
  { weight: 3, arbitrary: fc.record({ do: is("put"), session, owner, type }) },
  { weight: 2, arbitrary: fc.record({ do: is("move"), session, owner, type }) },
  { weight: 5, arbitrary: fc.record({ do: is("end"), session, owner }) },
  { weight: 1, arbitrary: fc.record({ do: is("patch"), session, owner }) },
  { weight: 1, arbitrary: fc.record({ do: is("read"), session, owner }) },
  { weight: 3, arbitrary: fc.record({ do: is("publish"), session, owner }) },
  { weight: 2, arbitrary: fc.record({ do: is("follow"), session, owner }) },
  { weight: 1, arbitrary: fc.record({ do: is("revoke"), owner }) },
  { weight: 20, arbitrary: fc.record({ do: is("release"), nth: fc.nat({ max: 20 }), times }) },
  { weight: 8, arbitrary: fc.record({ do: is("pass"), ms: fc.constantFrom(5, 10, 20, 3000) }) },
  { weight: 3, arbitrary: fc.record({ do: is("alarms") }) },
  { weight: 3, arbitrary: fc.record({ do: is("shards"), weather: fc.constantFrom(...WEATHERS) }) },
  { weight: 2, arbitrary: fc.record({ do: is("kill"), session }) },
  { weight: 2, arbitrary: fc.record({ do: is("evict"), session }) },
  { weight: 1, arbitrary: fc.record({ do: is("kill shard"), shard: fc.nat({ max: SHARDS - 1 }) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Sent {
  readonly data: string;
  ids: readonly string[] | undefined;
  refused: boolean;
}

class Play {
  readonly world = new Interleaved({ DIRECTORY_SHARDS: String(SHARDS) });
  readonly ids = Array.from({ length: IDS }, newSessionId);
  readonly #sent: Sent[] = [];
  readonly #followed: { readonly by: string; since: number; text: string }[] = [];
  #labels = 0;

  async step(next: Step): Promise<void> {
    const { world } = this;
    const { platform } = world;
    switch (next.do) {
      case "release":
        for (let n = 0; n < next.times; n++) {
          world.release(next.nth + n);
          await settle();
        }
        break;
      case "pass":
        await vi.advanceTimersByTimeAsync(next.ms);
        break;
      case "alarms":
        void platform.fireAlarms();
        break;
      case "shards":
        world.weather = next.weather;
        break;
      case "kill":
        platform.session(this.ids[next.session]!).kill();
        break;
      case "evict": {
        const host = platform.session(this.ids[next.session]!);
        if (host.isIdle) host.evict();
        break;
      }
      case "kill shard":
        platform.shard(next.shard).kill();
        break;
      case "revoke":
        platform.directory.revoke(next.owner, Date.now()).catch(() => undefined);
        break;
      default:
        this.#call(next);
    }
    await settle();
  }

  #call(next: Extract<Step, { session: number; owner: string }>): void {
    const id = this.ids[next.session]!;
    const caller = { subject: next.owner, admin: false };
    const content = (type: string) => ({
      type,
      metadata: { label: String(this.#labels++) },
      ttlMs: 100_000_000,
      maxLifetimeMs: 0,
    });
    const call = (method: string, ...args: unknown[]) =>
      this.world.platform.session(id).call(method, args);
    const start = (method: string, ...args: unknown[]) =>
      void call(method, ...args).catch(() => undefined);
    switch (next.do) {
      case "create":
        return start("create", caller, id, content(next.type));
      case "put":
        return start("upsert", caller, id, content(next.type));
      case "move":
        return start("upsert", { admin: true }, id, { ...content(next.type), subject: next.owner });
      case "end":
        return start("remove", caller);
      case "patch":
        return start("patch", caller, { metadata: { label: String(this.#labels++) } });
      case "read":
        return start("read", caller, true);
      case "publish":
        return this.#publish(next.owner, call);
      case "follow":
        void this.#follow(next.owner, id);
    }
  }

  #publish(owner: string, call: (method: string, ...args: unknown[]) => Promise<unknown>): void {
    const sent: Sent = { data: `${owner} ${this.#labels++}.`, ids: undefined, refused: false };
    this.#sent.push(sent);
    call("publish", { subject: owner, admin: false }, [{ data: sent.data }]).then(
      (answer) => {
        const { ok, value } = answer as { ok: boolean; value?: { ids: string[] } };
        sent.ids = value?.ids;
        sent.refused = !ok;
      },
      () => undefined,
    );
  }

  async #follow(owner: string, id: string): Promise<void> {
    const attachment = { caller: { subject: owner, admin: false }, start: { kind: "queued" } };
    const url = `https://session.invalid/?attach=${encodeURIComponent(JSON.stringify(attachment))}`;
    const answer = await this.world.platform
      .session(id)
      .fetch(url)
      .catch(() => undefined);
    const socket = answer?.webSocket as StreamSocket | null | undefined;
    if (!socket) return;
    const follower = { by: owner, since: this.#labels, text: "" };
    this.#followed.push(follower);
    socket.addEventListener("message", ({ data }) => {
      if (data instanceof ArrayBuffer) follower.text += new TextDecoder().decode(data);
    });
    socket.accept?.();
  }

  async check(): Promise<void> {
    const { world, ids } = this;
    const { platform } = world;
    await world.calm();
    // After a crash the directory may hear of a session as late as its next use, and end it then.
    for (const id of ids) await platform.session(id).call("read", [{ admin: true }, true]);
    await world.calm();
    const there = new Map<string, ReturnType<typeof stateOf>>();
    for (const id of ids) {
      const known = await this.#read(id);
      expect(world.possible(id)).toContainEqual(known);
      // The object has in memory what it has stored.
      platform.session(id).evict();
      expect(await this.#read(id)).toEqual(known);
      if (known) there.set(id, known);
      else expect(platform.session(id).disk.left).toEqual([]);
      await this.#checkEvents(id, known !== undefined);
    }
    const { sessions, partial } = await platform.directory.list({ limit: 100 });
    expect(partial).toBeUndefined();
    const listed = sessions.map(({ id, type, subject, createdAt }) => [
      id,
      type,
      subject,
      createdAt,
    ]);
    const expected = [...there].map(([id, { type, owner, createdAt }]) => [
      id,
      type,
      owner,
      createdAt,
    ]);
    expect(listed.toSorted()).toEqual(expected.toSorted());
    for (const subject of OWNERS) {
      const { count } = await platform.directory.count({ subject });
      expect(count).toBe(sessions.filter((one) => one.subject === subject).length);
    }
    expect((await platform.directory.count({})).count).toBe(there.size);
    this.#checkFollowers();
  }

  async #read(id: string): Promise<ReturnType<typeof stateOf> | undefined> {
    const read = this.world.platform.session(id).call("read", [{ admin: true }, false]);
    const { ok, value } = (await read) as { ok: boolean; value: unknown };
    return ok ? stateOf(value) : undefined;
  }

  /** The log holds every event that was acknowledged to this life of the session, once, and none that was refused. */
  async #checkEvents(id: string, isThere: boolean): Promise<void> {
    if (!isThere) return;
    const query = { limit: 1000, touch: false };
    const page = (await this.world.platform
      .session(id)
      .call("readEvents", [{ admin: true }, query])) as {
      value: { events: { id: string; data: string }[]; lastEventId: string };
    };
    const { events, lastEventId } = page.value;
    const epoch = lastEventId.split("-")[0]!;
    const places = events.map(({ id }) => id);
    expect(places).toEqual([...new Set(places)].toSorted());
    const acknowledged = this.#sent.filter(({ ids }) => ids?.[0]?.startsWith(epoch));
    for (const { data, ids } of acknowledged) expect(events).toContainEqual({ id: ids![0], data });
    for (const { data } of events) {
      const sent = this.#sent.filter((one) => one.data === data);
      expect(sent.map(({ refused }) => refused)).toEqual([false]);
    }
    expect(new Set(events.map(({ data }) => data)).size).toBe(events.length);
  }

  /**
   * A reader gets the events of one life, in order. Those of an owner before it come with the session;
   * none comes that another owner published after the reader came.
   */
  #checkFollowers(): void {
    for (const { by, since, text } of this.#followed) {
      for (const [, owner, label] of text.matchAll(/^data: (\w+) (\d+)\.$/gm)) {
        if (Number(label) >= since) expect(owner).toBe(by);
      }
      const ids = [...text.matchAll(/^id: (\S+)$/gm)].map(([, id]) => id!);
      expect(ids).toEqual(ids.toSorted());
      expect(new Set(ids.map((id) => id.split("-")[0])).size).toBeLessThanOrEqual(1);
      const seqs = ids.map((id) => id.split("-")[1]);
      expect(new Set(seqs).size).toBe(seqs.length);
    }
  }
}

/**
 * Of the first session only a message to its shard is under way when the object is lost. The session ends and
 * is made again in the same millisecond, so its message has the order of that one.
 */
const MADE_AGAIN: Step[] = [
  { do: "move", session: 1, owner: "alice", type: "mcp" },
  { do: "move", session: 1, owner: "alice", type: "mcp" },
  { do: "release", nth: 3, times: 2 },
  { do: "pass", ms: 10 },
  { do: "release", nth: 0, times: 1 },
  { do: "kill", session: 1 },
  { do: "end", session: 1, owner: "alice" },
  { do: "create", session: 1, owner: "alice", type: "mcp" },
  { do: "release", nth: 3, times: 5 },
  { do: "release", nth: 2, times: 1 },
];

it("a session is one of those that its calls can have made, and the directory lists that, whatever comes between", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 90, size: "max" }),
      async (steps) => {
        const play = new Play();
        for (const next of steps) await play.step(next);
        await play.check();
      },
    ),
    {
      numRuns: Number(process.env["INTERLEAVED_RUNS"] ?? 25),
      examples: [[MADE_AGAIN]],
    },
  );
});
