/**
 * The protected resource's metadata (RFC 9728) of an upstream that takes the client's own credential:
 * the upstream's own, with the gateway as the resource. An MCP client learns there where to get one.
 */
import { RESOURCE_METADATA_PATH } from "../http/oauth-metadata.ts";
import { problemResponse } from "../http/problem.ts";
import { describeFailure, type Logger } from "../logger.ts";
import { boundedBody } from "../wire/bytes.ts";
import { isObject, parseJson } from "../wire/json.ts";
import { USER_AGENT } from "./upstream/call.ts";
import { followed } from "./upstream/redirect.ts";
import type { Upstream } from "./upstream/upstream.ts";

type Document = Readonly<Record<string, unknown>>;

/** Milliseconds for which the metadata are remembered: anybody may ask for them. */
const MAX_AGE_MS = 60_000;
/** Milliseconds that an upstream has for them. */
const TIMEOUT_MS = 5000;
/** Bytes of a document: real ones have less than two KiB. */
const MAX_BYTES = 64 * 1024;

interface Remembered {
  readonly at: number;
  /** Undefined: the upstream has none. */
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
    // Where the client's credential is not for the upstream, nobody needs to know how to get one.
    if (!upstream || upstream.forwardAuthorization === false) return problemResponse("not_found");
    let known = this.#remembered.get(upstream);
    if (!known || Date.now() - known.at > MAX_AGE_MS) {
      try {
        known = { at: Date.now(), document: await read(upstream) };
      } catch (failure) {
        const cause = describeFailure(failure);
        this.#log.warn("upstream.failed", { upstream: upstream.name, cause });
        return new Response(null, { status: 502 });
      }
      this.#remembered.set(upstream, known);
    }
    if (!known.document) return problemResponse("not_found");
    // Signed, they would still name the upstream as the resource.
    const { signed_metadata: _signed, ...document } = known.document;
    return Response.json({ ...document, resource });
  }
}

/** Asks the replicas in turn. Throws the last failure where none can be reached. */
async function read({ replicas }: Upstream): Promise<Document | undefined> {
  let failure: unknown;
  for (const { url, fetch } of replicas) {
    if (!fetch) continue;
    try {
      for (const address of addressesOf(url)) {
        const document = await readAt(address, fetch);
        if (document) return document;
      }
      return undefined;
    } catch (cause) {
      failure = cause;
    }
  }
  throw failure ?? new Error("no replica has an address");
}

/** With the path of the resource, then without (RFC 9728, 3.1). */
function addressesOf(url: string): string[] {
  const { origin, pathname } = new URL(url);
  const root = origin + RESOURCE_METADATA_PATH;
  const path = pathname.replace(/\/$/, "");
  return path === "" ? [root] : [root + path, root];
}

/** The document at an address, if there is one. The upstream's secrets are not sent: anybody may read it. */
async function readAt(address: string, fetcher: typeof fetch): Promise<Document | undefined> {
  const request: RequestInit = {
    headers: { accept: "application/json", "user-agent": USER_AGENT },
    redirect: "manual",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
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
