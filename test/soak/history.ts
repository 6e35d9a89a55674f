/**
 * The history of a soak: its actions and its observations. It holds facts only, such as the answer
 * to a call. The auditor judges them.
 */

/**
 * - `done`: the service acknowledged it, so it holds from now on.
 * - `missing`: the service answered that there is no such session.
 * - `refused`: the service answered that it changed nothing.
 * - `unknown`: no answer came, or the answer says that the service failed. It may have happened.
 */
export type Outcome = "done" | "missing" | "refused" | "unknown";

/** The beginning and the end of a call, in the order of all beginnings and ends. */
export interface Span {
  readonly began: number;
  readonly ended: number;
}

export interface Publish extends Span {
  readonly session: string;
  /** Has one publish under way at a time. */
  readonly publisher: string;
  /** The data of each event, unique in a soak. */
  readonly data: readonly string[];
  readonly outcome: Outcome;
  /** The ids in the answer. A service that keeps its promise gives one for each event. */
  readonly ids: readonly string[];
  /** The ids in each answer to the same publish under the same key, after it had been acknowledged. */
  readonly repeats?: readonly (readonly string[])[];
}

export interface Event {
  readonly id: string;
  readonly data: string;
}

export interface Gap {
  readonly kind: "gap";
  /** "" if it names none. */
  readonly requested: string;
  readonly earliest: string;
  /** The last id that its reader had been given; "" if the reader knew of none. */
  readonly place: string;
  /** The moment of its receipt, in the order of all beginnings and ends. */
  readonly at: number;
}

export type Seen = ({ readonly kind: "event" } & Event) | Gap;

/** All that one subscriber received from the first event on, over all its connections. */
export interface Following {
  readonly follower: string;
  readonly session: string;
  readonly seen: readonly Seen[];
  /** The name of the last frame, or the status of the last answer; undefined if the stream goes on. */
  readonly end: string | undefined;
}

/** The whole log of a session at the end of the soak. */
export interface SessionLog {
  readonly session: string;
  readonly events: readonly Event[];
}

/** A call on a session of the service, or on a record in Redis. */
export interface Change extends Span {
  readonly record: string;
  /** A publish changes no record, but shows whether the record exists. */
  readonly kind: "create" | "write" | "read" | "publish" | "delete";
  /** The written or the read value. */
  readonly value?: string | undefined;
  readonly outcome: Outcome;
  /** For expiring sessions: whether the answer came before the session's time can have been up. */
  readonly inTime?: boolean;
  /** Seconds from the start of the soak until its answer. People read it; nothing judges it. */
  readonly at?: number;
}

/** All calls on the records of one place, and the records there at the end. */
export interface Keeping {
  readonly place: string;
  readonly changes: readonly Change[];
  /** Records that expire, and whose time is up at the end. */
  readonly expiring: ReadonlySet<string>;
  /** The value of each record that exists at the end. */
  readonly found: ReadonlyMap<string, string>;
  readonly listed: readonly string[];
  readonly counted: number;
  /** Sessions that may exist under an unknown id, because the answer to their creation was lost. */
  readonly unnamed: number;
}

/** A tool call through the gateway. Its client leaves and comes back. */
export interface Call {
  readonly call: string;
  readonly steps: number;
  /** Numbers of the progress notifications, in the order of their arrival. */
  readonly seen: readonly number[];
  /**
   * The last message, or the reason why it is missing. `unanswered`: no byte came, not even an id to
   * resume from. undefined: the stream brought no last message in time.
   */
  readonly end: "result" | "interrupted" | "unanswered" | string | undefined;
  /** Messages after the last one, on this return or on one more. */
  readonly afterwards: number;
  /** Whether a fault ended the process or the session's object during the call. */
  readonly disturbed: boolean;
}

/** A page of JSON. Its reader goes on from its `lastEventId`. */
export interface Page {
  /** The id after which its reader asked for it; undefined for the first. */
  readonly after: string | undefined;
  readonly events: readonly Event[];
  readonly lastEventId: string;
  readonly ended: boolean;
  readonly gap?: Pick<Gap, "requested" | "earliest">;
  /** The moment of its receipt, in the order of all beginnings and ends. */
  readonly at: number;
}

/**
 * A stream that is published to under keys and then ended. A reader comes and goes while this goes
 * on, and another reads page after page.
 */
export interface Answer {
  readonly session: string;
  /** Whether its reader comes back with its last id. Otherwise each of its streams has no id. */
  readonly keepsId: boolean;
  /** The ids in the answers to the end, which is asked for twice; fewer than two if an answer is missing. */
  readonly endIds: readonly string[];
  /** Each stream of the reader, in order. Without an id, the last one begins after the end. */
  readonly streams: readonly Visit[];
  readonly pages: readonly Page[];
  /** The status for a client that comes back with the id of the end; undefined if no answer came. */
  readonly afterEnd: number | undefined;
}

/** The events that one stream brought to its reader. */
export interface Visit {
  readonly seen: readonly Seen[];
  /** The id of its `ended` frame; undefined if the reader left before, or was cut. */
  readonly endId: string | undefined;
}

export interface History {
  /** LOG_MAX_EVENTS of the service: the events that a log retains at least. */
  readonly retained: number;
  readonly publishes: readonly Publish[];
  readonly followings: readonly Following[];
  readonly logs: readonly SessionLog[];
  readonly keepings: readonly Keeping[];
  readonly calls: readonly Call[];
  readonly answers: readonly Answer[];
  /** The number of each answer that no contract allows, such as a status of 500, and of each line of the log that is none of a soak. */
  readonly unexpected: ReadonlyMap<string, number>;
}
