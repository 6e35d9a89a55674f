/** The gateway's contract with a session: it carries a POST to the upstream, and opens a stream of messages. */
import type { Caller } from "../core/caller.ts";
import { GATEWAY_KEYS, type Metadata, type SessionType } from "../core/content.ts";
import type {
  IfMatch,
  Notes,
  SessionContent,
  SessionHost,
  Sessions,
  SessionView,
  StreamSocket,
} from "../core/host.ts";
import type { SessionId } from "../core/id.ts";
import type { Failure } from "./failure.ts";
import type { Slot } from "./eras/slots.ts";
import type { RequestId } from "./json-rpc.ts";
import type { TaskAnswer, TaskAsk } from "./tasks/contract.ts";

export type { Failure } from "./failure.ts";

/** The sessions that a route reaches. Any other session is answered as if there were none. */
export interface SessionMatch {
  readonly type: SessionType;
  readonly upstream: string;
  /** A version that the gateway does not know. It matches only a session that agreed on it. */
  readonly version?: string;
  /** The session is to carry clients of the stateless revision. Absent: it is to be a client's own. */
  readonly era?: string;
}

export function matches(
  session: { readonly type: string; readonly metadata: Metadata },
  match: SessionMatch,
): boolean {
  const { type, metadata } = session;
  if (type !== match.type || metadata[GATEWAY_KEYS.upstream] !== match.upstream) return false;
  if (metadata[GATEWAY_KEYS.era] !== match.era) return false;
  return match.version === undefined || metadata[GATEWAY_KEYS.protocolVersion] === match.version;
}

/** The stream of messages that belong to no exchange. A GET without `Last-Event-ID` follows it. */
export const STANDALONE_STREAM = 1;

/** The first stream that can be an exchange's own. */
export const FIRST_EXCHANGE_STREAM = 2;

export interface ExchangeRequest {
  readonly match: SessionMatch;
  /** One JSON-RPC message or a batch, as the client sent it. */
  readonly body: string;
  readonly batch: boolean;
  /** Requests in the body, each of which needs an answer; empty if it has notifications and responses only. */
  readonly pending: readonly RequestId[];
  /** Requests that the body cancels. */
  readonly cancels: readonly RequestId[];
  /** An initialize request; only the session of a legacy stream gets one this way. */
  readonly initialize: boolean;
  /** The client's headers that go on to the upstream. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Where the answer goes: `own` is JSON or a stream of this exchange alone, `standalone` is the
   * session's one stream, as legacy clients expect.
   */
  readonly delivery: "own" | "standalone";
  /** Of a task's call: milliseconds that its answer may take in all, in place of every time-out of the upstream. */
  readonly withinMs?: number;
  /** The request of the stateless revision whose older form the body is. The answer has the form of its revision. */
  readonly era?: EraRequest;
}

/** A request of the stateless revision, as the session's object needs it. The body is its older form. */
export interface EraRequest {
  /** As the client wrote it. */
  readonly id: RequestId;
  readonly method: string;
  /** The tool, prompt or resource that it is about. */
  readonly name?: string | undefined;
  /** The client's token, as it wrote it. */
  readonly progressToken?: string | undefined;
  readonly logLevel?: string | undefined;
  /** The capabilities that the client declares. */
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly requestState?: string | undefined;
  /** The texts of the client's answers, by the keys of the questions. */
  readonly inputResponses: Readonly<Record<string, string>>;
  /** The call is a task's, or may become one. Once it is a task's, a client that leaves does not cancel it. */
  readonly task?: EraTask;
  /** Which of its client's sessions this is. Absent: an older Worker calls, which knows of one alone. */
  readonly slot?: Slot;
  /** The server of the upstream that is known to ask without naming a call, as it describes itself. */
  readonly asksAside?: string | undefined;
}

/** The part that a task plays in a request of the stateless revision. */
export interface EraTask {
  readonly id: string;
  /**
   * `call` sends the body, `resume` takes up the answer to what was sent before, `cancel` cancels that, and `taken`
   * says that the task has stored its answer.
   */
  readonly verb: "call" | "resume" | "cancel" | "taken";
  /** After so many milliseconds the call is a task's for certain. */
  readonly afterMs: number;
  /** Milliseconds that it may take in all. */
  readonly withinMs: number;
}

export type ExchangeAnswer =
  /** The upstream took the body; there is nothing to answer. */
  | { readonly kind: "accepted" }
  /** The whole answer. */
  | {
      readonly kind: "json";
      readonly status: number;
      readonly body: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** The answer comes on this stream of the session. */
  | { readonly kind: "stream"; readonly stream: number }
  /** The answer to a request of the stateless revision comes on this stream of events. A client that leaves it cancels the request. */
  | { readonly kind: "flow"; readonly body: ReadableStream<Uint8Array> }
  /** The upstream speaks the client's stateless revision itself now. Nothing was sent to it. */
  | { readonly kind: "unbridged" }
  /**
   * The call is to be in another slot, or is there already. Nothing was sent. Only where the request names a slot.
   * `server`: this one asks without naming a call, so that a call has to be alone.
   */
  | { readonly kind: "busy"; readonly server?: string }
  | { readonly kind: "failed"; readonly failure: Failure };

export interface InitializeRequest {
  readonly upstream: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The session carries clients of the stateless revision, which do not say that they are ready: the gateway does. */
  readonly era?: true;
}

export type InitializeAnswer =
  /** The session is made; these are the upstream's messages, the last one its answer. */
  { readonly kind: "initialized"; readonly messages: readonly string[] } | NotInitialized;

export type NotInitialized =
  /** The upstream answered with a JSON-RPC error. No session was made. */
  | {
      readonly kind: "refused";
      readonly status: number;
      readonly body: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | { readonly kind: "failed"; readonly failure: Failure };

/** A session as the gateway's part of its object sees it. */
export interface GatewaySession {
  /** Made with the session: another epoch is another session. */
  readonly epoch: string;
  readonly metadata: Metadata;
}

export interface OpenSession extends GatewaySession {
  readonly id: SessionId;
  /** Undefined: nobody owns it. */
  readonly subject: string | undefined;
  /**
   * Changes metadata, and returns them as they are then; a null value removes its key.
   * Undefined: the session has no room for that, and nothing has changed.
   */
  patchMetadata(patch: Readonly<Record<string, string | null>>): Metadata | undefined;
}

/** Returns the present session; null once it has expired or was deleted. It does not count as use. */
export type SessionAccess = () => OpenSession | null;

/** Where a gateway stream starts. */
export type GatewayStart = {
  readonly match: SessionMatch;
  /** The client's headers that go on to the upstream, where the object itself listens to it. */
  readonly headers?: ExchangeRequest["headers"];
} & (
  | { readonly kind: "exchange"; readonly stream: number }
  /** `endpoint` comes first: the address to which a legacy client POSTs. */
  | { readonly kind: "standalone"; readonly endpoint?: string }
  | { readonly kind: "resume"; readonly lastEventId: string }
  /**
   * The standalone stream for one of several clients of the stateless revision. The object acknowledges the
   * `Listen` on it, and the client gets nothing that came before.
   */
  | ({ readonly kind: "listen" } & Listen)
);

/** The changes that a `subscriptions/listen` asks for. */
export interface Listen {
  /** The request's id, as the client wrote it. */
  readonly id: RequestId;
  readonly filter: ListenFilter;
  /** The client's headers that go on to the upstream. */
  readonly headers: ExchangeRequest["headers"];
}

export interface ListenFilter {
  readonly toolsListChanged?: true;
  readonly promptsListChanged?: true;
  readonly resourcesListChanged?: true;
  readonly resourceSubscriptions?: readonly string[];
}

/** One caller's sessions, with the methods that only the gateway uses. */
export interface GatewaySessions<Shown = SessionView> extends Sessions<Shown> {
  /** Makes an MCP client's session with this content and its upstream session, both or neither. */
  initialize(
    id: SessionId,
    content: SessionContent,
    request: InitializeRequest,
  ): Promise<InitializeAnswer>;
  /** As `Sessions.delete`. `headers` are for the session's upstream, from the MCP client that ends it. */
  delete(id: SessionId, ifMatch?: IfMatch, headers?: ExchangeRequest["headers"]): Promise<boolean>;
  /** Carries one POST of an MCP client. Throws `SessionNotFoundError` if the session does not match. */
  exchange(id: SessionId, request: ExchangeRequest): Promise<ExchangeAnswer>;
  /**
   * Carries a tool call that may become the task `id`, or answers a request about that task. Throws
   * `SessionNotFoundError` if there is no such task of this upstream.
   */
  task(id: SessionId, ask: TaskAsk): Promise<TaskAnswer>;
  /**
   * Follows a gateway stream. Throws a SessionError (`invalid_request`) if `Last-Event-ID` is
   * unknown.
   */
  follow(id: SessionId, start: GatewayStart): Promise<StreamSocket>;
}

/** A session host that carries MCP as well. */
export interface GatewayHost extends SessionHost {
  /** Keeps what the gateway remembers over restarts. Absent: it remembers nothing. */
  readonly notes?: Notes | undefined;
  as(caller: Caller): GatewaySessions;
}
