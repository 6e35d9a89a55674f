/** The auditor is worth what it can find: each kind of broken promise, in a history that is sound but for it. */
import { describe, expect, it } from "vitest";
import { audit } from "../../../../bench/soak/audit/audit.ts";
import type {
  Call,
  Change,
  Event,
  Following,
  History,
  Keeping,
  Outcome,
  Publish,
  Seen,
} from "../../../../bench/soak/history.ts";

const S = "the-session";
let tick = 0;
const span = () => ({ began: tick++, ended: tick++ });
const idOf = (n: number) => `epoch-${String(n).padStart(4, "0")}-0`;
const event = (n: number): Event => ({ id: idOf(n), data: `event ${n}` });
const seen = (...numbers: number[]): Seen[] => numbers.map((n) => ({ kind: "event", ...event(n) }));
const gap = (requested: number, earliest: number, at = Infinity): Seen => ({
  kind: "gap",
  requested: idOf(requested),
  earliest: idOf(earliest),
  at,
});

function publish(numbers: readonly number[], outcome: Outcome = "done"): Publish {
  const data = numbers.map((n) => event(n).data);
  const ids = outcome === "done" ? numbers.map(idOf) : [];
  return { session: S, publisher: "one", data, outcome, ids, ...span() };
}

const following = (frames: readonly Seen[], end?: string): Following => ({
  follower: "subscriber",
  session: S,
  seen: frames,
  end,
});

const change = (kind: Change["kind"], outcome: Outcome = "done", value?: string): Change => ({
  record: S,
  kind,
  outcome,
  value,
  ...span(),
});

const keeping = (changes: readonly Change[], value?: string): Keeping => ({
  place: "session",
  changes,
  expiring: new Set(),
  found: new Map(value === undefined ? [] : [[S, value]]),
  listed: value === undefined ? [] : [S],
  counted: value === undefined ? 0 : 1,
  unnamed: 0,
});

const soundCall: Call = {
  call: "one",
  steps: 3,
  seen: [1, 2, 3],
  end: "result",
  afterwards: 0,
  disturbed: false,
};

/** Three events, published one by one, received and logged, in a session that is there. */
function history(changes: Partial<History> = {}): History {
  return {
    retained: 100,
    publishes: [publish([1]), publish([2]), publish([3])],
    followings: [following(seen(1, 2, 3))],
    logs: [{ session: S, events: [event(1), event(2), event(3)] }],
    keepings: [keeping([change("create", "done", "a")], "a")],
    calls: [soundCall],
    unexpected: new Map(),
    ...changes,
  };
}

const found = (changes: Partial<History>) => audit(history(changes)).map(({ kind }) => kind);
const kept = (changes: readonly Change[], value?: string) =>
  found({ keepings: [keeping(changes, value)], publishes: [], followings: [], logs: [] });

it("finds nothing in a sound history", () => {
  expect(audit(history())).toEqual([]);
});

describe("streams", () => {
  it("an acknowledged event that a subscriber never got is lost", () => {
    expect(audit(history({ followings: [following(seen(1, 3))] }))).toEqual([
      { kind: "event lost", where: `subscriber on ${S}`, detail: `${idOf(2)} was acknowledged` },
    ]);
  });

  it("an acknowledged event that the log lacks is lost", () => {
    const logs = [{ session: S, events: [event(1), event(3)] }];
    expect(found({ logs, followings: [] })).toEqual(["event lost"]);
  });

  it("an event that comes twice is repeated, under its own id or another", () => {
    expect(found({ followings: [following(seen(1, 2, 2, 3))] })).toEqual(["event repeated"]);
    const renamed: Seen = { kind: "event", id: idOf(4), data: "event 3" };
    expect(found({ followings: [following([...seen(1, 2, 3), renamed])] })).toContain(
      "event repeated",
    );
  });

  it("ids that do not rise are out of order, on a stream and between two publishes in turn", () => {
    expect(found({ followings: [following(seen(1, 3, 2))] })).toEqual(["event out of order"]);
    expect(found({ publishes: [publish([1]), publish([3]), publish([2])] })).toEqual([
      "event out of order",
    ]);
  });

  it("an acknowledgement has an id for each event, and no id is given twice", () => {
    const short = { ...publish([2, 3, 4]), ids: [idOf(2)] };
    const few = {
      followings: [following(seen(1, 2))],
      logs: [{ session: S, events: [event(1), event(2)] }],
    };
    expect(found({ ...few, publishes: [publish([1]), short] })).toEqual(["answer not allowed"]);
    expect(found({ ...few, publishes: [publish([1]), { ...publish([2]), ids: [] }] })).toEqual([
      "answer not allowed",
    ]);
    const same = { ...publish([3]), publisher: "another", ids: [idOf(2)] };
    expect(found({ ...few, publishes: [publish([1]), publish([2]), same] })).toContain(
      "id given twice",
    );
  });

  it("an id that comes with another event's data is not the event that was acknowledged", () => {
    const swapped: Seen = { kind: "event", id: idOf(2), data: "event 3" };
    expect(found({ followings: [following([...seen(1), swapped])] })).toEqual(
      expect.arrayContaining(["event never published", "event lost", "event not durable"]),
    );
    const logs = [{ session: S, events: [event(1), { id: idOf(2), data: "event 3" }] }];
    expect(found({ logs, followings: [] })).toEqual([
      "event never published",
      "event lost",
      "event lost",
    ]);
  });

  it("what nobody published, or what was refused, must not come", () => {
    expect(found({ followings: [following(seen(1, 2, 3, 4))] })).toContain("event never published");
    expect(found({ publishes: [publish([1]), publish([2], "refused"), publish([3])] })).toContain(
      "event never published",
    );
  });

  it("a publish whose answer was lost may be there or not, an array of it whole", () => {
    const publishes = [publish([1]), publish([2, 3], "unknown")];
    const withLog = (...numbers: number[]) =>
      found({
        publishes,
        followings: [following(seen(...numbers))],
        logs: [{ session: S, events: numbers.map(event) }],
      });
    expect(withLog(1)).toEqual([]);
    expect(withLog(1, 2, 3)).toEqual([]);
    expect(withLog(1, 2)).toEqual(["publish torn"]);
  });

  it("of an array without an answer only what was trimmed, or hidden by a gap, may be unseen", () => {
    const lost = publish([1, 2, 3], "unknown");
    const later = [publish([4]), publish([5])];
    const torn = (retained: number, logged: readonly number[], ...streams: Seen[][]) =>
      found({
        retained,
        publishes: [lost, ...later],
        logs: [{ session: S, events: logged.map(event) }],
        followings: streams.map((frames) => following(frames)),
      });
    expect(torn(4, [2, 3, 4, 5])).toEqual([]);
    expect(torn(5, [2, 3, 4, 5])).toEqual(["publish torn"]);
    expect(torn(3, [3, 4, 5])).toEqual([]);
    expect(torn(2, [4, 5], seen(1, 3, 4, 5))).toEqual(["publish torn"]);
    expect(torn(2, [4, 5], seen(2, 3, 4, 5))).toEqual(["publish torn"]);
    expect(torn(2, [4, 5], [gap(0, 3), ...seen(3, 4, 5)])).toEqual([]);
    expect(torn(2, [4, 5], [...seen(1), gap(1, 4), ...seen(4, 5)])).toEqual([]);
    expect(torn(2, [4, 5], [...seen(1), gap(1, 4), ...seen(4, 5)], seen(1, 4, 5))).toEqual([
      "publish torn",
    ]);
  });

  it("an event whose answer was lost, and that is there, is owed to each subscriber", () => {
    const publishes = [publish([1]), publish([2], "unknown"), publish([3])];
    expect(found({ publishes, followings: [following(seen(1, 3))] })).toEqual(["event lost"]);
    // All that is left of it is what another subscriber was sent.
    const more = [publish([4]), publish([5])];
    const trimmed = { retained: 2, logs: [{ session: S, events: [event(4), event(5)] }] };
    const one = following(seen(1, 2, 3, 4, 5));
    const skips = (...frames: Seen[]) => {
      const followings = [one, following(frames)];
      return found({ ...trimmed, publishes: [...publishes, ...more], followings });
    };
    expect(skips(...seen(1, 3, 4, 5))).toEqual(["event lost"]);
    expect(skips(...seen(1), gap(1, 3), ...seen(3, 4, 5))).toEqual([]);
  });

  it("what was sent must be in the log", () => {
    const publishes = [publish([1]), publish([2]), publish([3]), publish([4], "unknown")];
    expect(found({ publishes, followings: [following(seen(1, 2, 3, 4))] })).toEqual([
      "event not durable",
    ]);
  });

  it("a full log may have let the first events go, and a gap excuses just those", () => {
    const trimmed = { retained: 2, logs: [{ session: S, events: [event(2), event(3)] }] };
    const follows = (...frames: Seen[]) => found({ ...trimmed, followings: [following(frames)] });
    const [zero, two, three] = [gap(0, 2), ...seen(2, 3)] as [Seen, Seen, Seen];
    expect(follows(zero, two, three)).toEqual([]);
    expect(follows(two, three)).toEqual(["event lost"]);
    expect(follows(zero, three)).toEqual(["event lost"]);
    expect(follows(gap(0, 3), three)).toEqual(["event lost", "gap without cause"]);
  });

  it("a log that is not full has no cause for a gap", () => {
    expect(found({ followings: [following([gap(0, 1), ...seen(1, 2, 3)])] })).toEqual([
      "gap without cause",
    ]);
  });

  it("a gap is judged by what the log can have held when it came, not by what it held at the end", () => {
    const [before, between, after] = [
      [1, 2],
      [3, 4, 5],
      [6, 7],
    ];
    const publishes = [...before, ...between].map((n) => publish([n]));
    const early = tick++;
    const lost = publish([6], "unknown");
    const late = tick++;
    publishes.push(lost, publish([7]));
    const log = { session: S, events: [...between, ...after].map(event) };
    const gapAt = (at: number, retained = 3, kept = log) =>
      found({
        retained,
        publishes,
        followings: [following([...seen(1), gap(1, 4, at), ...seen(4, 5, 6, 7)])],
        logs: [{ ...kept, events: kept.events.slice(-retained) }],
      });
    expect(gapAt(early)).toEqual(["gap without cause"]);
    expect(gapAt(late)).toEqual([]);
    expect(gapAt(late, 4)).toEqual(["gap without cause"]);
    expect(gapAt(Infinity, 4)).toEqual([]);
  });

  it("an event whose answer was lost, and that nobody saw, may have filled the log", () => {
    const publishes = [publish([1]), publish([2]), publish([3]), publish([9], "unknown")];
    const at = tick++;
    publishes.push(publish([4]), publish([5]));
    const frames = [...seen(1), gap(1, 3, at), gap(2, 4), ...seen(4, 5)];
    const logs = [{ session: S, events: [event(4), event(5)] }];
    const filled = { retained: 2, publishes, logs, followings: [following(frames)] };
    expect(found(filled)).toEqual([]);
  });

  it("a stream ends with its session, and not before", () => {
    const publishes = [publish([1]), publish([2]), publish([3])];
    const deleted = [keeping([change("create", "done", "a"), change("delete")])];
    const over = { publishes, keepings: deleted, logs: [] };
    expect(found({ followings: [following(seen(1, 2, 3), "404")] })).toEqual(["stream ended"]);
    expect(found({ ...over, followings: [following(seen(1, 2, 3), "deleted")] })).toEqual([]);
    expect(found({ ...over, followings: [following(seen(1))] })).toEqual(["stream left open"]);
  });

  it("what came before its end is owed to whoever was connected then, and no hole to anybody", () => {
    const publishes = [publish([1]), publish([2]), publish([3])];
    const deleted = [keeping([change("create", "done", "a"), change("delete")])];
    const ends = (frames: readonly Seen[], end: string) =>
      found({ publishes, keepings: deleted, logs: [], followings: [following(frames, end)] });
    expect(ends(seen(1, 2), "deleted")).toEqual(["event lost"]);
    expect(ends([], "deleted")).toEqual(["event lost", "event lost", "event lost"]);
    expect(ends(seen(1), "404")).toEqual([]);
    expect(ends(seen(1, 3), "404")).toEqual(["event lost"]);
  });

  it("the end of a stream says what has ended the session", () => {
    const made = keeping([change("create", "done", "a")]);
    const removed = keeping([change("create", "done", "a"), change("delete", "unknown")]);
    const expired = { ...made, expiring: new Set([S]) };
    const ends = (kept: Keeping, end: string) =>
      found({ keepings: [kept], logs: [], followings: [following(seen(1, 2, 3), end)] });
    expect(ends(removed, "deleted")).toEqual([]);
    expect(ends(removed, "expired")).toEqual(["stream ended"]);
    expect(ends(expired, "expired")).toEqual([]);
    expect(ends(expired, "deleted")).toEqual(["stream ended"]);
    expect(ends(expired, "404")).toEqual([]);
  });
});

describe("sessions and records", () => {
  const created = () => change("create", "done", "a");

  it("what was acknowledged is there at the end, and was there all the time", () => {
    expect(kept([created()])).toEqual(["session lost"]);
    expect(kept([created(), change("read", "missing")], "a")).toEqual(["session lost"]);
  });

  it("a publish that does not find a session that is there says that it was lost", () => {
    expect(found({ publishes: [publish([1], "missing")], followings: [], logs: [] })).toEqual([]);
    const made = created();
    const publishes = [publish([1], "missing")];
    const keepings = [keeping([made], "a")];
    expect(found({ keepings, publishes, followings: [], logs: [] })).toEqual(["session lost"]);
  });

  it("a deleted session that is there, or that a later call finds, was resurrected", () => {
    expect(kept([created(), change("delete")], "a")).toEqual(["session resurrected"]);
    expect(kept([created(), change("delete"), change("write", "done", "b")])).toEqual([
      "session resurrected",
    ]);
  });

  it("a session whose time was up, or that was never made, is left over", () => {
    const past = { ...keeping([created()], "a"), expiring: new Set([S]) };
    expect(found({ keepings: [past], followings: [], publishes: [], logs: [] })).toEqual([
      "session left over",
    ]);
    expect(kept([change("create", "refused", "a")], "a")).toEqual(["session left over"]);
  });

  it("a session with a time is there until it is up", () => {
    const read = (inTime: boolean, outcome: Outcome) => {
      const made = created();
      const look = { ...change("read", outcome, outcome === "done" ? "a" : undefined), inTime };
      const past = { ...keeping([made, look]), expiring: new Set([S]) };
      return found({ keepings: [past], followings: [], publishes: [], logs: [] });
    };
    expect(read(true, "done")).toEqual([]);
    expect(read(true, "unknown")).toEqual([]);
    expect(read(false, "missing")).toEqual([]);
    expect(read(true, "missing")).toEqual(["session lost"]);
  });

  it("calls whose answer was lost may have happened or not", () => {
    expect(kept([change("create", "unknown", "a")])).toEqual([]);
    expect(kept([change("create", "unknown", "a")], "a")).toEqual([]);
    expect(kept([created(), change("delete", "unknown")])).toEqual([]);
    expect(kept([created(), change("delete", "unknown")], "a")).toEqual([]);
    for (const value of ["a", "b"]) {
      expect(kept([created(), change("write", "unknown", "b")], value)).toEqual([]);
    }
  });

  it("the last acknowledged write holds", () => {
    const writes = [created(), change("write", "unknown", "b"), change("write", "done", "c")];
    expect(kept(writes, "c")).toEqual([]);
    expect(kept(writes, "b")).toEqual(["write lost"]);
    expect(kept([...writes, change("read", "done", "a")], "c")).toEqual(["write lost"]);
  });

  it("a conditional write fails only where another may have come before it", () => {
    const refused = () => change("write", "refused", "b");
    expect(kept([created(), refused()], "a")).toEqual(["answer not allowed"]);
    expect(kept([created(), change("write", "unknown", "c"), refused()], "a")).toEqual([]);
  });

  it("the index names each session that is there, once, and no other, and counts them", () => {
    const sound = keeping([created()], "a");
    const indexed = (index: Partial<Keeping>) => found({ keepings: [{ ...sound, ...index }] });
    expect(indexed({ listed: [], counted: 0 })).toEqual(["listing wrong"]);
    expect(indexed({ listed: [S, S] })).toEqual(["listing wrong"]);
    expect(indexed({ counted: 2 })).toEqual(["listing wrong"]);
    const stranger = { listed: [S, "stranger"], counted: 2, found: new Map(sound.found) };
    expect(indexed(stranger)).toContain("listing wrong");
    stranger.found.set("stranger", "");
    expect(indexed(stranger)).toEqual(["listing wrong"]);
    expect(indexed({ ...stranger, unnamed: 1 })).toEqual([]);
  });
});

describe("calls through the gateway", () => {
  const called = (call: Partial<Call>) => found({ calls: [{ ...soundCall, ...call }] });

  it("a call that ends with nothing is lost; an interrupted one where nothing was ended, too", () => {
    expect(called({ end: undefined })).toEqual(["call lost"]);
    expect(called({ end: "interrupted", seen: [1] })).toEqual(["call lost"]);
    expect(called({ end: "interrupted", seen: [1], disturbed: true })).toEqual([]);
    expect(called({ end: "unanswered", seen: [] })).toEqual(["call lost"]);
    expect(called({ end: "unanswered", seen: [], disturbed: true })).toEqual([]);
    expect(called({ end: undefined, seen: [], disturbed: true })).toEqual(["call lost"]);
  });

  it("each step comes once, in order, and nothing after the end", () => {
    expect(called({ seen: [1, 3] })).toEqual(["step lost"]);
    expect(called({ seen: [1, 2] })).toEqual(["step lost"]);
    expect(called({ seen: [1, 2, 2, 3] })).toEqual(["step repeated"]);
    expect(called({ afterwards: 1 })).toEqual(["step repeated"]);
  });
});

it("an answer that no contract allows is told", () => {
  expect(audit(history({ unexpected: new Map([["GET /: 500", 2]]) }))).toEqual([
    { kind: "answer not allowed", where: "GET /: 500", detail: "2 times" },
  ]);
});
