/**
 * What a soak did and what it saw: facts alone, which the auditor judges. Whoever
 * acts writes down what was answered, never what it thinks of it.
 */

/**
 * - `done`: acknowledged, so it holds from now on.
 * - `missing`: answered that there is no such session.
 * - `refused`: answered that nothing was changed.
 * - `unknown`: no answer came, or one that says that the service failed. It may have happened.
 */
export type Outcome = "done" | "missing" | "refused" | "unknown";

/** When a call began and ended, in the order of all calls' beginnings and ends. */
export interface Span {
  readonly began: number;
  readonly ended: number;
}

export interface Publish extends Span {
  readonly session: string;
  /** Has one publish under way at a time. */
  readonly publisher: string;
  /** What each event carries; no two events of a soak carry the same. */
  readonly data: readonly string[];
  readonly outcome: Outcome;
  /** As answered: one for each event where the outcome is `done`, if the service keeps its promise. */
  readonly ids: readonly string[];
}

export interface Event {
  readonly id: string;
  readonly data: string;
}

export type Seen =
  | ({ readonly kind: "event" } & Event)
  | {
      readonly kind: "gap";
      readonly requested: string;
      readonly earliest: string;
      /** When it came, in the order of the calls' beginnings and ends. */
      readonly at: number;
    };

/** A subscriber from the session's first event on, over all its connections. */
export interface Following {
  readonly follower: string;
  readonly session: string;
  readonly seen: readonly Seen[];
  /** Why the stream is over for good: the last frame's name, or the status of the answer on return. */
  readonly end: string | undefined;
}

/** All that a session's log holds when everything is over. */
export interface SessionLog {
  readonly session: string;
  readonly events: readonly Event[];
}

/** A call on something that is kept: a session of the service, or a record in Redis. */
export interface Change extends Span {
  readonly record: string;
  /** A publish changes nothing of the record, but tells whether it is there. */
  readonly kind: "create" | "write" | "read" | "publish" | "delete";
  /** What was written, or what was read. */
  readonly value?: string | undefined;
  readonly outcome: Outcome;
  /** Whether the answer came before the session's time can have been up; of those alone that expire. */
  readonly inTime?: boolean;
}

/** Everything that was kept in one place, and what was found there at the end. */
export interface Keeping {
  readonly place: string;
  readonly changes: readonly Change[];
  /** Those that end by themselves, and whose time is up at the end. */
  readonly expiring: ReadonlySet<string>;
  /** What reading each of them gave at the end; those that were not there are not in it. */
  readonly found: ReadonlyMap<string, string>;
  readonly listed: readonly string[];
  readonly counted: number;
  /** Sessions that may be there without anybody knowing their id: their creation's answer was lost. */
  readonly unnamed: number;
}

/** A tool call through the gateway, whose client leaves and comes back. */
export interface Call {
  readonly call: string;
  readonly steps: number;
  /** Numbers of the progress notifications, in the order of their arrival. */
  readonly seen: readonly number[];
  /**
   * The last message, or why there was none: `unanswered` is that nothing came at all, not even a
   * place to come back to; undefined where the stream brought none in time.
   */
  readonly end: "result" | "interrupted" | "unanswered" | string | undefined;
  /** Messages after the last one, on this return or on one more. */
  readonly afterwards: number;
  /** Whether the process or the session's object was ended while the call was under way. */
  readonly disturbed: boolean;
}

export interface History {
  /** LOG_MAX_EVENTS of the service: what a log retains for sure. */
  readonly retained: number;
  readonly publishes: readonly Publish[];
  readonly followings: readonly Following[];
  readonly logs: readonly SessionLog[];
  readonly keepings: readonly Keeping[];
  readonly calls: readonly Call[];
  /** Answers that no contract allows, such as a status of 500, and how many. */
  readonly unexpected: ReadonlyMap<string, number>;
}
