/** An MCP server behind the gateway: a URL, a service binding, or a server in the same Worker. */
import type { TaskSettings } from "../../config/upstreams.ts";
import type { NewEvent, Published } from "../../core/host.ts";
import type { EraTask } from "../contract.ts";
import type { ConnectableServer, ServerSession } from "../own/contract.ts";
import { FAILURES, isBroken, UpstreamError } from "./failure.ts";

/**
 * Sends a request, to another `url` of the same origin where the server redirects it. It takes the
 * request's parts, because the platform makes a Request of its own from whatever leaves the Worker.
 */
export type Send = (parts: RequestParts, url?: string) => Promise<Answer>;

/**
 * A string is a whole JSON body with status 200. A server in the same Worker then makes no Response
 * that is only read again, which would cost a twentieth of a quick call.
 */
export type Answer = Response | string;

export interface RequestParts extends RequestInit {
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** One place that serves an upstream. */
export interface Replica {
  /** Stored as `backend_url` with each session that lives here. */
  readonly url: string;
  /** Sends a request to `url`. Rejects if the server cannot be reached. */
  readonly send: Send;
  /** Sends a request to another URL of the same server; a server in the same Worker has none. */
  readonly fetch?: typeof fetch;
  /**
   * Sends a request to a server of the stateless revision, which it makes look like one with sessions.
   * Only in the object of a session, and only where the upstream may be such a server.
   */
  readonly modern?: Send;
}

/** A server of one's own, which runs in the objects of its sessions. */
export interface OwnServer {
  /** Called once for each life of the object. */
  readonly make: (session: ServerSession) => ConnectableServer | Promise<ConnectableServer>;
  /** Answers requests of the stateless revision, which have no session. Absent: they are refused. */
  readonly stateless?: Send;
}

/** Publishes events to one session. Rejects with a SessionError. */
export type PublishEvents = (
  events: readonly NewEvent[],
  idempotencyKey: string | undefined,
) => Promise<Published>;

/** Answers a request about a task's call for a principal, over the bridge to a server that keeps sessions. */
export type OverBridge = (
  upstream: string,
  principal: string,
  task: EraTask,
  request: RequestParts,
) => Promise<Response>;

/** Has the object of this task, of this upstream, look at its call. */
export type WakeTask = (upstream: string, taskId: string) => Promise<unknown>;

/** The servers of a Worker's own code. */
export interface OwnServers {
  /** The way from an object to servers that keep sessions; absent: there is none. */
  readonly overBridge?: OverBridge;
  /** The way back from there to the objects of tasks. */
  readonly wakeTask: WakeTask;
  readonly demo?: OwnServer | undefined;
  /** By the name of their upstream. */
  readonly named: ReadonlyMap<string, OwnServer>;
  /** Has `publish` validate what a server publishes, as the routes do. */
  readonly validated: (publish: PublishEvents) => ServerSession["publish"];
}

export const NO_SERVERS: OwnServers = {
  named: new Map(),
  wakeTask: async () => undefined,
  validated: () => () => {
    throw new Error("there is no server that could publish");
  },
};

export interface Upstream {
  readonly name: string;
  /** At least one. They are tried in this order. */
  readonly replicas: readonly Replica[];
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds until the answer must have begun; a JSON answer must have ended by then. */
  readonly timeoutMs: number;
  /** Milliseconds for which a stream may bring no message. */
  readonly silenceMs: number;
  /** Milliseconds that a call may take in all. */
  readonly callMs: number;
  /** The client's header, in lower case, whose value the gateway sends on as `Authorization`; false: none. */
  readonly forwardAuthorization: string | false;
  /** The one era of MCP that the server is sure to speak; absent: its answers show it. */
  readonly era?: "legacy" | "modern";
  /** The session's object listens to the server, and not the bridge: the server's one stream lives in it. */
  readonly listensInObject?: boolean;
  /** How its long calls become tasks; absent: they do not. */
  readonly tasks?: TaskSettings | undefined;
}

/** The replica at `url`; the first one if the configuration no longer has that. */
export function replicaAt(upstream: Upstream, url: string | undefined): Replica {
  const replica = upstream.replicas.find((one) => one.url === url) ?? upstream.replicas[0];
  if (!replica) throw new TypeError(`upstream ${upstream.name} has no replica`);
  return replica;
}

/** Asks the replicas in turn, until the connection to one does not break. Throws the last failure. */
export async function firstUnbroken<T>(
  replicas: readonly Replica[],
  ask: (replica: Replica) => Promise<T>,
): Promise<T> {
  let failure = new UpstreamError(FAILURES.unreachable, { broken: true });
  for (const replica of replicas) {
    try {
      return await ask(replica);
    } catch (error) {
      if (!isBroken(error)) throw error;
      failure = error;
    }
  }
  throw failure;
}

/** Upstreams by name. */
export type Upstreams = ReadonlyMap<string, Upstream>;
