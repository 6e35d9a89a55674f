/** Tells from which address a request comes, and whether that is this machine. */
import { isLoopbackName, parseHost } from "./origin.ts";
import { addressOfPeer } from "./rate-limit.ts";

/**
 * The client's address: `cf.clientIp`, which plain workerd sets, or the header that Cloudflare's edge
 * and `wrangler dev` set. Undefined where the platform sets neither.
 */
export function clientAddress(request: Request): string | undefined {
  const peer = peerOf(request);
  if (peer !== undefined) return addressOfPeer(peer);
  return request.headers.get("cf-connecting-ip") ?? undefined;
}

/** Headers in which a proxy names its client. `wrangler dev` lets a client set the first, so none of them alone proves an address. */
const FOR_WHOM = ["cf-connecting-ip", "x-forwarded-for", "x-real-ip"];

/**
 * Whether this machine sent a request: at least one address is given for it, and each one is an
 * address of this machine. `headers` are the request's, if they have been read already.
 */
export function isFromThisMachine(
  request: Request,
  headers: ReadonlyMap<string, string> = new Map(request.headers),
): boolean {
  const peer = peerOf(request);
  const isNear =
    peer === undefined
      ? isLoopbackAddress(headers.get("cf-connecting-ip") ?? "")
      : isLoopbackAddress(addressOfPeer(peer));
  return isNear && namesNobodyElse(headers);
}

/**
 * Whether the headers name no other machine as the sender. A proxy on this machine may pass on requests
 * of others, so its headers can only turn the answer to false.
 */
export function namesNobodyElse(headers: ReadonlyMap<string, string>): boolean {
  if (headers.has("forwarded")) return false;
  return FOR_WHOM.every((name) => {
    const addresses = headers.get(name);
    return (
      addresses === undefined || addresses.split(",").every((one) => isLoopbackAddress(one.trim()))
    );
  });
}

/** The peer's address and port, where plain workerd tells them. */
function peerOf({ cf }: Request): string | undefined {
  const peer = (cf as { clientIp?: unknown } | undefined)?.clientIp;
  return typeof peer === "string" ? peer : undefined;
}

/** `127.0.0.1`, `::1`, `::ffff:127.0.0.1`. A name is no address. */
export function isLoopbackAddress(text: string): boolean {
  if (PLAIN_LOOPBACK.test(text)) return true;
  return /^[\da-f.:]+$/i.test(text) && isLoopbackName(parseHost(text)?.hostname ?? "");
}

/** The forms in which workerd writes such an address: to read a URL instead takes microseconds. */
const PLAIN_LOOPBACK = /^(127(\.\d{1,3}){3}|::1|::ffff:127(\.\d{1,3}){3})$/;
