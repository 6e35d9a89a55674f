/**
 * What the gateway knows of an MCP server behind it: something that answers
 * requests. A URL is one, a service binding is one, and so is a server in the
 * same Worker.
 */
import { FAILURES, UpstreamError } from "./failure.ts";

/**
 * A request in its parts: where it leaves the Worker, the platform makes a request of its own
 * from whatever it is given, and one that was made before is made in vain.
 */
export type Send = (parts: RequestParts) => Promise<Answer>;

/**
 * A text is JSON, whole and with status 200: a server in the same Worker that has it need
 * not make a response that is only read again, at a twentieth of a quick call.
 */
export type Answer = Response | string;

export interface RequestParts extends RequestInit {
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** One place where an upstream is served. */
export interface Replica {
  /** What `backend_url` says of a session that lives here. */
  readonly url: string;
  /** Sends a request to `url`. Rejects where the server cannot be reached. */
  readonly send: Send;
}

export interface Upstream {
  readonly name: string;
  /** At least one, in the order in which they are tried. */
  readonly replicas: readonly Replica[];
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds until the answer must have begun; a JSON answer must have ended by then. */
  readonly timeoutMs: number;
  readonly forwardAuthorization: boolean;
}

/** The replica of a session, or the first where its own is not one of ours any more. */
export function replicaAt(upstream: Upstream, url: string | undefined): Replica {
  const replica = upstream.replicas.find((one) => one.url === url) ?? upstream.replicas[0];
  if (!replica) throw new TypeError(`upstream ${upstream.name} has no replica`);
  return replica;
}

/** Asks one replica after the other until one can be reached. Throws what failed last. */
export async function firstReachable<T>(
  replicas: readonly Replica[],
  ask: (replica: Replica) => Promise<T>,
): Promise<T> {
  let failure = new UpstreamError(FAILURES.unreachable, { unreachable: true });
  for (const replica of replicas) {
    try {
      return await ask(replica);
    } catch (error) {
      if (!(error instanceof UpstreamError) || !error.unreachable) throw error;
      failure = error;
    }
  }
  throw failure;
}

/** Upstreams by name. */
export type Upstreams = ReadonlyMap<string, Upstream>;
