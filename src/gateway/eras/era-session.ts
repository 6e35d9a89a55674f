/**
 * Finds the session that carries a client of the stateless revision to a server of the revisions with sessions.
 * It is an ordinary session, whose id follows from who calls: the principal, the upstream, and what the client
 * says of itself. It belongs to the principal, so no other one reaches it, whatever its id.
 */
import { GATEWAY_KEYS } from "../../core/content.ts";
import { SessionError, SessionNotFoundError } from "../../core/errors.ts";
import { derivedSessionId, type SessionId } from "../../core/id.ts";
import { MAX_ERA_SESSIONS, MAX_INIT_BODY_BYTES } from "../../core/limits.ts";
import { exceeds } from "../../wire/bytes.ts";
import { isObject } from "../../wire/json.ts";
import { Refused } from "../answers.ts";
import type {
  EraRequest,
  EraTask,
  ExchangeAnswer,
  GatewaySessions,
  NotInitialized,
  SessionMatch,
} from "../contract.ts";
import { contentFor, forwardedHeaders, type GatewayCall } from "../request.ts";
import { initializeFor, legacyBody, type ModernRequest } from "./modern-request.ts";
import type { RequestId } from "../json-rpc.ts";
import { FIRST_SLOT, placeIn, type Slot } from "./slots.ts";
import { asksAside } from "./speaks.ts";
import { DISCOVER, MODERN_VERSION } from "./wire.ts";

const encoder = new TextEncoder();

export interface EraSession {
  readonly id: SessionId;
  readonly slot: Slot;
  readonly sessions: GatewaySessions;
  readonly match: SessionMatch;
  /** Makes the session and its upstream's. A session that another call has made meanwhile is as good. */
  readonly make: () => Promise<void>;
}

/** A session of this client. Nothing is asked of it, and it may not be made yet. */
export async function eraSessionOf(
  call: GatewayCall,
  client: ModernRequest,
  slot: Slot = FIRST_SLOT,
): Promise<EraSession> {
  const { upstream, parts } = call;
  const subject = await principalOf(call);
  const { name, version } = client.clientInfo;
  const { capabilities } = client;
  const first = [subject, upstream.name, name, version, sorted(capabilities)];
  const said = slot === FIRST_SLOT ? first : [...first, slot];
  const id = derivedSessionId(await sha256(JSON.stringify(said)));
  const sessions = parts.host.as({ subject, admin: false });
  const match = { type: "mcp", upstream: upstream.name, era: MODERN_VERSION } as const;
  const make = async (): Promise<void> => {
    const body = initializeFor(client);
    if (exceeds(body, MAX_INIT_BODY_BYTES)) {
      throw new Refused(413, "The client's info and capabilities are too large");
    }
    await refuseTooMany(call, subject);
    const { metadata, ...others } = contentFor(call, "mcp");
    const marked = { ...metadata, [GATEWAY_KEYS.era]: MODERN_VERSION };
    const headers = forwardedHeaders(call);
    const request = { upstream: upstream.name, body, headers, era: true } as const;
    try {
      const answer = await sessions.initialize(
        id,
        { ...others, metadata: marked, subject },
        request,
      );
      if (answer.kind !== "initialized") throw new NotMade(answer);
    } catch (failure) {
      const isThere = failure instanceof SessionError && failure.code === "session_already_exists";
      if (!isThere) throw failure;
    }
  };
  return { id, slot, sessions, match, make };
}

/**
 * Bounds the sessions of a principal: its clients could describe themselves anew each time, and get a session for
 * each description. Without a directory nothing counts sessions, and there is no bound.
 */
async function refuseTooMany({ parts }: GatewayCall, subject: string): Promise<void> {
  const counted = parts.host.count({ subject, type: "mcp" });
  const { count } = await counted.catch(() => ({ count: 0 }));
  if (count < MAX_ERA_SESSIONS) return;
  throw new Refused(
    429,
    `The caller has ${MAX_ERA_SESSIONS} sessions, the most for which one is made for a client of ${MODERN_VERSION}`,
  );
}

/** The upstream opened no session. */
export class NotMade extends Error {
  override readonly name = "NotMade";
  readonly answer: NotInitialized;

  constructor(answer: NotInitialized) {
    super("the upstream opened no session");
    this.answer = answer;
  }
}

/**
 * Carries a request in its session, under this id: many clients share the upstream session, and their own ids could
 * be the same. Throws SessionNotFoundError if there is none.
 */
export function carry(
  call: GatewayCall,
  session: EraSession,
  client: ModernRequest,
  upstreamId: RequestId,
  task?: EraTask,
): Promise<ExchangeAnswer> {
  const { id, method, name, progressToken, logLevel, capabilities, requestState, inputResponses } =
    client;
  const era: EraRequest = {
    id,
    // An object of a version before that knows nothing of this verb, and answers a discovery without the server.
    method: task?.verb === "taken" ? DISCOVER : method,
    name,
    progressToken,
    logLevel,
    capabilities,
    requestState: requestState === undefined ? undefined : placeIn(requestState).name,
    inputResponses,
    slot: session.slot,
    asksAside: asksAside(call.upstream),
    ...(task && { task }),
  };
  const sends = requestState === undefined && (!task || task.verb === "call");
  const request = {
    match: session.match,
    body: sends ? legacyBody(client, upstreamId) : "",
    batch: false,
    pending: [upstreamId],
    cancels: [],
    initialize: false,
    headers: forwardedHeaders(call),
    delivery: "own",
    era,
    ...(task && { withinMs: task.withinMs }),
  } as const;
  return session.sessions.exchange(session.id, request);
}

/** Does `work` in the session, which is made first if there is none; then `made` is called. */
export async function inEraSession<T>(
  { make }: EraSession,
  work: () => Promise<T>,
  made: () => Promise<void>,
): Promise<T> {
  try {
    return await work();
  } catch (failure) {
    if (!(failure instanceof SessionNotFoundError)) throw failure;
  }
  await make();
  await made();
  return work();
}

/**
 * The principal that owns the sessions of a call: the caller's subject; where nobody is identified, the credential
 * for the upstream, or else the client's address.
 */
export async function principalOf(call: GatewayCall): Promise<string> {
  const { subject } = call.caller;
  if (subject !== undefined) return subject;
  const { authorization } = forwardedHeaders(call);
  if (authorization !== undefined) return credentialPrincipal(authorization);
  return `address:${call.parts.access.addressOf(call.request) ?? ""}`;
}

/** The principal of a caller that the service knows only by its credential for an upstream. */
export async function credentialPrincipal(authorization: string): Promise<string> {
  return `credential:${hex(await sha256(authorization))}`;
}

async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(text)));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The value with the members of its objects in one order: clients write the same capabilities in any. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([key, member]) => [key, sorted(member)] as const);
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
