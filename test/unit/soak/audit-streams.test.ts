import { describe, expect, it } from "vitest";
import { audit } from "../../soak/audit/audit.ts";
import type { Keeping, Seen } from "../../soak/history.ts";
import {
  S,
  change,
  event,
  following,
  found,
  gap,
  history,
  idOf,
  keeping,
  moment,
  publish,
  seen,
} from "./histories.ts";

describe("findings of the auditor in streams and logs", () => {
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

  it("an event that nobody published, or that was refused, must not come", () => {
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
    // Only another subscriber shows the event.
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

  it("an event that was sent must be in the log", () => {
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

  it("a gap begins where its subscriber is, and has events in it", () => {
    const publishes = [1, 2, 3, 4, 5].map((n) => publish([n]));
    const logs = [{ session: S, events: [event(4), event(5)] }];
    const follows = (...frames: Seen[]) =>
      found({ retained: 2, publishes, logs, followings: [following(frames)] });
    const early: Seen = { ...gap(1, 4), place: idOf(2) };
    expect(follows(...seen(1, 2), gap(2, 4), ...seen(4, 5))).toEqual([]);
    expect(follows(...seen(1, 2), early, ...seen(4, 5))).toEqual(["gap without cause"]);
    expect(follows(...seen(1, 2, 3), gap(3, 4), ...seen(4, 5))).toEqual(["gap without cause"]);
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
    const early = moment();
    const lost = publish([6], "unknown");
    const late = moment();
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
    const at = moment();
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

  it("a subscriber that is connected at the end is owed every event before it, and nobody gets a hole", () => {
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
