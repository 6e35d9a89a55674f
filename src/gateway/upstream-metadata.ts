/**
 * The protected resource's metadata (RFC 9728) of an upstream that takes the client's own credential:
 * the upstream's own, with the gateway as the resource. An MCP client reads there where to get a credential.
 */
import { derivedUpstreamUrl } from "../config/upstreams.ts";
import { RESOURCE_METADATA_PATH } from "../http/oauth-metadata.ts";
import { problemResponse } from "../http/problem.ts";
import { describeFailure, type Logger } from "../logger.ts";
import { upstreamFailures } from "../signals/metrics.ts";
import { boundedBody } from "../wire/bytes.ts";
import { isObject, parseJson } from "../wire/json.ts";
import { metadataIn } from "./challenge.ts";
import { USER_AGENT } from "./upstream/call.ts";
import { followed } from "./upstream/redirect.ts";
import type { Upstream } from "./upstream/upstream.ts";

type Document = Readonly<Record<string, unknown>>;

/** Milliseconds for which the metadata are remembered: anybody may ask for them. */
const MAX_AGE_MS = 60_000;
/** Milliseconds within which an upstream must answer with them. */
const TIMEOUT_MS = 5000;
/** Bytes of a document: real ones have less than two KiB. */
const MAX_BYTES = 64 * 1024;

interface Remembered {
  readonly at: number;
  /** The upstream's document; undefined if it has none. */
  readonly document: Document | undefined;
}

export class UpstreamMetadata {
  readonly #log: Logger;
  readonly #remembered = new WeakMap<Upstream, Remembered>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Answers a request for the metadata of `resource`, which is the gateway's URL of this upstream. */
  async answer(upstream: Upstream | undefined, resource: string): Promise<Response> {
    // If the client's credential is not for the upstream, no client needs to know how to get one.
    if (!upstream || upstream.forwardAuthorization === false) return problemResponse("not_found");
    let known = this.#remembered.get(upstream);
    if (!known || Date.now() - known.at > MAX_AGE_MS) {
      try {
        known = { at: Date.now(), document: await read(upstream) };
      } catch (failure) {
        const cause = describeFailure(failure);
        upstreamFailures.add(1, upstream.name, "metadata");
        this.#log.warn("upstream.failed", { upstream: upstream.name, kind: "metadata", cause });
        return new Response(null, { status: 502 });
      }
      this.#remembered.set(upstream, known);
    }
    if (!known.document) return problemResponse("not_found");
    // The signed form would still name the upstream as the resource.
    const { signed_metadata: _signed, ...document } = known.document;
    return Response.json({ ...document, resource });
  }
}

/** Asks the replicas in turn. Throws the last failure where none can be reached. */
async function read(upstream: Upstream): Promise<Document | undefined> {
  const method = upstream.listensInObject ? "GET" : "POST";
  let failure: unknown;
  for (const { url, fetch } of upstream.replicas) {
    if (!fetch) continue;
    try {
      return (
        // A server that has no answer to a ping may still have the document.
        (await readNamed(url, fetch, method).catch(() => undefined)) ??
        (await readWellKnown(url, fetch)) ??
        (await readOfItsOwnServer(url, fetch))
      );
    } catch (cause) {
      failure = cause;
    }
  }
  throw failure ?? new Error("no replica has an address");
}

const PING = '{"jsonrpc":"2.0","id":"holdfast-challenge","method":"ping"}';

/**
 * The document that the upstream's challenge names, which may be at any path. A ping without a
 * credential brings the challenge. Only a URL of the upstream's own origin is read: the gateway must
 * reach no address that the configuration does not name.
 */
async function readNamed(
  url: string,
  fetcher: typeof fetch,
  method: "GET" | "POST",
): Promise<Document | undefined> {
  const accept = method === "GET" ? "text/event-stream" : "application/json, text/event-stream";
  const request = requestFor(accept);
  const asked =
    method === "GET"
      ? request
      : {
          ...request,
          method,
          body: PING,
          headers: { ...request.headers, "content-type": "application/json" },
        };
  const { answer } = await followed(url, method, (at) => fetcher(at, asked));
  void answer.body?.cancel().catch(() => undefined);
  const named = metadataIn(answer.headers.get("www-authenticate") ?? "");
  const verdict = named === undefined ? undefined : derivedUpstreamUrl(named, new URL(url));
  return verdict?.ok ? readAt(verdict.url.href, fetcher) : undefined;
}

/** With the path of the resource, then without (RFC 9728, 3.1). */
async function readWellKnown(url: string, fetcher: typeof fetch): Promise<Document | undefined> {
  const { origin, pathname } = new URL(url);
  const root = origin + RESOURCE_METADATA_PATH;
  const path = pathname.replace(/\/$/, "");
  return (path === "" ? undefined : await readAt(root + path, fetcher)) ?? readAt(root, fetcher);
}

/**
 * A server of 2025-03-26 has no such document: it is its own authorization server, whose metadata
 * (RFC 8414) are at its root. Later clients need a document that names that server.
 */
async function readOfItsOwnServer(
  url: string,
  fetcher: typeof fetch,
): Promise<Document | undefined> {
  const { origin } = new URL(url);
  const server = await readAt(`${origin}/.well-known/oauth-authorization-server`, fetcher);
  const issuer = server?.["issuer"];
  return typeof issuer === "string" ? { authorization_servers: [issuer] } : undefined;
}

/** The upstream's secrets are not sent: anybody may cause this request. */
function requestFor(accept: string): RequestInit & { readonly headers: Record<string, string> } {
  return {
    headers: { accept, "user-agent": USER_AGENT },
    redirect: "manual",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
}

/** The document at an address, if there is one. */
async function readAt(address: string, fetcher: typeof fetch): Promise<Document | undefined> {
  const request = requestFor("application/json");
  const { answer: response } = await followed(address, "GET", (url) => fetcher(url, request));
  if (!response.ok || !response.body) {
    void response.body?.cancel().catch(() => undefined);
    if (response.status >= 500) throw new Error(`the metadata answered ${response.status}`);
    return undefined;
  }
  const { body } = response;
  const bytes = await boundedBody(body as ReadableStream<Uint8Array>, MAX_BYTES);
  if (!bytes) {
    void body.cancel().catch(() => undefined);
    return undefined;
  }
  const value = parseJson(new TextDecoder().decode(bytes));
  return isObject(value) ? value : undefined;
}
