/** Tells from which address a request comes, and whether that is this machine. */
import { isLoopbackName, parseHost } from "./origin.ts";
import { addressOfPeer } from "./rate-limit.ts";

/**
 * The client's address: `cf.clientIp`, which plain workerd sets, or the header that Cloudflare's edge
 * and `wrangler dev` set. Undefined where the platform says neither.
 */
export function clientAddress(request: Request): string | undefined {
  return socketAddress(request) ?? request.headers.get("cf-connecting-ip") ?? undefined;
}

/** Headers by which a proxy says for whom it asks. `wrangler dev` lets its client set the first, so none proves anything alone. */
const FOR_WHOM = ["cf-connecting-ip", "x-forwarded-for", "x-real-ip"];

/**
 * Whether every address that is said of a request's origin is of this machine, and there is one. A
 * proxy on this machine may ask for others, so its headers can only take that away. `headers` are the
 * request's, if they have been read already.
 */
export function isFromThisMachine(
  request: Request,
  headers: Pick<Map<string, string>, "has" | "get"> = new Map(request.headers),
): boolean {
  const address = socketAddress(request) ?? headers.get("cf-connecting-ip");
  if (address === undefined || !isLoopbackAddress(address) || headers.has("forwarded"))
    return false;
  return FOR_WHOM.every(
    (name) =>
      !headers.has(name) ||
      headers
        .get(name)!
        .split(",")
        .every((one) => isLoopbackAddress(one.trim())),
  );
}

function socketAddress({ cf }: Request): string | undefined {
  const peer = (cf as { clientIp?: unknown } | undefined)?.clientIp;
  return typeof peer === "string" ? addressOfPeer(peer) : undefined;
}

/** `127.0.0.1`, `::1`, `::ffff:127.0.0.1`. A name is no address. */
function isLoopbackAddress(text: string): boolean {
  if (PLAIN_LOOPBACK.test(text)) return true;
  return /^[\da-f.:]+$/i.test(text) && isLoopbackName(parseHost(text)?.hostname ?? "");
}

/** The forms in which workerd writes such an address: to read a URL instead takes microseconds. */
const PLAIN_LOOPBACK = /^(127(\.\d{1,3}){3}|::1|::ffff:127(\.\d{1,3}){3})$/;
