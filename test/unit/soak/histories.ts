/** Sound histories of soaks, for tests to change. */
import { audit } from "../../soak/audit/audit.ts";
import type {
  Call,
  Change,
  Event,
  Following,
  Gap,
  History,
  Keeping,
  Outcome,
  Publish,
  Seen,
} from "../../soak/history.ts";

export const S = "the-session";
let tick = 0;
/** A moment between two calls. */
export const moment = () => tick++;
const span = () => ({ began: tick++, ended: tick++ });
export const idOf = (n: number) => `epoch-${String(n).padStart(4, "0")}-0`;
export const event = (n: number): Event => ({ id: idOf(n), data: `event ${n}` });
export const seen = (...numbers: number[]): Seen[] =>
  numbers.map((n) => ({ kind: "event", ...event(n) }));
export const gap = (requested: number, earliest: number, at = Infinity): Gap => ({
  kind: "gap",
  requested: idOf(requested),
  earliest: idOf(earliest),
  place: idOf(requested),
  at,
});

export function publish(numbers: readonly number[], outcome: Outcome = "done"): Publish {
  const data = numbers.map((n) => event(n).data);
  const ids = outcome === "done" ? numbers.map(idOf) : [];
  return { session: S, publisher: "one", data, outcome, ids, ...span() };
}

export const following = (frames: readonly Seen[], end?: string): Following => ({
  follower: "subscriber",
  session: S,
  seen: frames,
  end,
});

export const change = (
  kind: Change["kind"],
  outcome: Outcome = "done",
  value?: string,
): Change => ({
  record: S,
  kind,
  outcome,
  value,
  ...span(),
});

export const keeping = (changes: readonly Change[], value?: string): Keeping => ({
  place: "session",
  changes,
  expiring: new Set(),
  found: new Map(value === undefined ? [] : [[S, value]]),
  listed: value === undefined ? [] : [S],
  counted: value === undefined ? 0 : 1,
  unnamed: 0,
});

export const soundCall: Call = {
  call: "one",
  steps: 3,
  seen: [1, 2, 3],
  end: "result",
  afterwards: 0,
  disturbed: false,
};

/** Three events of a living session, published one by one, received and logged. */
export function history(changes: Partial<History> = {}): History {
  return {
    retained: 100,
    publishes: [publish([1]), publish([2]), publish([3])],
    followings: [following(seen(1, 2, 3))],
    logs: [{ session: S, events: [event(1), event(2), event(3)] }],
    keepings: [keeping([change("create", "done", "a")], "a")],
    calls: [soundCall],
    answers: [],
    unexpected: new Map(),
    ...changes,
  };
}

export const found = (changes: Partial<History>) => audit(history(changes)).map(({ kind }) => kind);
export const kept = (changes: readonly Change[], value?: string) =>
  found({ keepings: [keeping(changes, value)], publishes: [], followings: [], logs: [] });
