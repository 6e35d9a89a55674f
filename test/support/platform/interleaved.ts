/**
 * Sessions on a platform whose every call, answer and commit waits until the test lets it go on, and
 * a model of what they are to be. The object does the calls in the order in which they enter it, so
 * the model plays them in that order. A call whose answer was lost may have happened or not.
 */
import { expect } from "vitest";
import { startPlatform, type Platform } from "./platform.ts";

export type Weather = "well" | "refuses" | "loses the answer" | "hangs";

interface State {
  readonly type: string;
  readonly owner: string;
  readonly label: string | undefined;
  readonly createdAt: number;
  readonly revision: number;
}

/** Undefined: there is no session. */
type Possible = State | undefined;

interface Call {
  readonly method: string;
  readonly args: readonly unknown[];
  /** When it entered the object; milliseconds since the epoch. */
  at: number;
  outcome: { readonly answer: unknown } | undefined;
}

interface Caller {
  readonly subject?: string;
  readonly admin: boolean;
}

interface Content {
  readonly type: string;
  readonly subject?: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Enough turns for everything to happen that waits for nothing else. */
export async function settle(): Promise<void> {
  for (let n = 0; n < 60; n++) await Promise.resolve();
}

export class Interleaved {
  readonly platform: Platform;
  weather: Weather = "well";
  /** The calls that entered the object of each session, in that order. */
  readonly calls = new Map<string, Call[]>();
  #waiting: (() => void)[] = [];
  #isFree = false;

  constructor(vars: Readonly<Record<string, string>>) {
    this.platform = startPlatform(vars);
    const known = new Map<readonly unknown[], Call>();
    this.platform.gate = () =>
      this.#isFree ? Promise.resolve() : new Promise((go) => this.#waiting.push(go));
    this.platform.entered = (name, args) => {
      const call = known.get(args);
      if (!call) return;
      call.at = Date.now();
      const id = name.split(" ")[0]!;
      this.calls.set(id, [...(this.calls.get(id) ?? []), call]);
    };
    this.platform.intercept = async (name, go, args) => {
      const [of = "", method = ""] = name.split(" ");
      if (of.startsWith("shard")) return this.#shard(method, go);
      const call: Call = { method, args, at: 0, outcome: undefined };
      known.set(args, call);
      const answer = await go();
      call.outcome = { answer };
      return answer;
    };
  }

  /** Lets one of those that wait go on. */
  release(nth: number): void {
    const [go] = this.#waiting.splice(nth % Math.max(1, this.#waiting.length), 1);
    go?.();
  }

  /** Lets everything go on, now and from now on. */
  async free(): Promise<void> {
    this.weather = "well";
    this.#isFree = true;
    for (const go of this.#waiting.splice(0)) go();
    await settle();
  }

  async hold(): Promise<void> {
    await settle();
    this.#isFree = false;
  }

  /** Lets time pass until nothing is left to be told. */
  async calm(): Promise<void> {
    await this.free();
    // A shard that hangs counts as down after five seconds; a retry comes within about six minutes.
    for (let n = 0; n < 3; n++) await this.platform.pass(5_000);
    for (let n = 0; n < 4; n++) await this.platform.pass(400_000);
  }

  /** The states in which a session may be, from the calls and their answers. */
  possible(id: string): Possible[] {
    let states: Possible[] = [undefined];
    for (const call of this.calls.get(id) ?? []) {
      const played = states.map((state) => ({ before: state, ...play(call, state) }));
      const { outcome } = call;
      states = outcome
        ? played.filter(({ answer }) => agrees(outcome.answer, answer)).map(({ after }) => after)
        : played.flatMap(({ before, after }) => [before, after]);
      states = [...new Map(states.map((state) => [JSON.stringify(state), state])).values()];
      expect(states, `${call.method} answered ${JSON.stringify(outcome)}`).not.toEqual([]);
    }
    return states;
  }

  async #shard(method: string, go: () => Promise<unknown>): Promise<unknown> {
    const { weather } = this;
    if (method !== "deliver" || weather === "well") return go();
    if (weather === "refuses") throw new Error("shard down");
    if (weather === "hangs") return new Promise(() => undefined);
    await go();
    throw new Error("answer lost");
  }
}

/** One result that a call may have: the session that it leaves, and its answer. Without `answer` every answer is right. */
function play(
  { method, args, at }: Call,
  state: Possible,
): { readonly after: Possible; readonly answer?: unknown } {
  const caller = args[0] as Caller;
  const owned = state && (caller.admin || caller.subject === state.owner) ? state : undefined;
  const none = { after: state, answer: "session_not_found" };
  const make = ({ type, subject, metadata }: Content): State => {
    const owner = subject ?? caller.subject ?? "";
    return { type, owner, label: metadata["label"], createdAt: at, revision: 1 };
  };
  switch (method) {
    case "create": {
      if (state) return { after: state, answer: "session_already_exists" };
      const after = make(args[2] as Content);
      return { after, answer: after };
    }
    case "upsert": {
      if (state && !owned) return none;
      const made = make(args[2] as Content);
      if (!owned) return { after: made, answer: made };
      const { subject = owned.owner } = args[2] as Content;
      const { createdAt, revision } = owned;
      const after = { ...made, owner: subject, createdAt, revision: revision + 1 };
      return { after, answer: after };
    }
    case "patch": {
      if (!owned) return none;
      const { metadata } = args[1] as { metadata: Content["metadata"] };
      const after = { ...owned, label: metadata["label"], revision: owned.revision + 1 };
      return { after, answer: after };
    }
    case "read":
      return owned ? { after: state, answer: owned } : none;
    case "remove": {
      const condition = args[1] as { subject: string; createdBy: number } | undefined;
      const isMeant =
        !condition ||
        (owned?.owner === condition.subject && owned.createdAt <= condition.createdBy);
      const removed = owned !== undefined && isMeant;
      return { after: removed ? undefined : state, answer: removed };
    }
    default:
      return { after: state };
  }
}

function agrees(answer: unknown, expected: unknown): boolean {
  if (expected === undefined) return true;
  const { ok, code, value } = answer as { ok: boolean; code?: string; value?: unknown };
  const said = ok ? (typeof value === "object" ? stateOf(value) : value) : code;
  return JSON.stringify(said) === JSON.stringify(expected);
}

/** The state that an answer shows. */
export function stateOf(value: unknown): State {
  const { session = value } = value as { session?: unknown };
  const { type, subject, metadata, createdAt, version } = session as {
    type: string;
    subject?: string;
    metadata: Record<string, string>;
    createdAt: number;
    version: string;
  };
  const revision = Number(version.split(".").at(-1));
  return { type, owner: subject ?? "", label: metadata["label"], createdAt, revision };
}
