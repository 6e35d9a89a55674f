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
 * proxy on this machine may ask for others, so its headers can only take that away.
 */
export function isFromThisMachine(request: Request): boolean {
  const address = clientAddress(request);
  if (address === undefined || request.headers.has("forwarded")) return false;
  const said = FOR_WHOM.flatMap((name) => request.headers.get(name)?.split(",") ?? []);
  return [address, ...said].every((one) => isLoopbackAddress(one.trim()));
}

function socketAddress({ cf }: Request): string | undefined {
  const peer = (cf as { clientIp?: unknown } | undefined)?.clientIp;
  return typeof peer === "string" ? addressOfPeer(peer) : undefined;
}

/** `127.0.0.1`, `::1`, `::ffff:127.0.0.1`. A name is no address. */
function isLoopbackAddress(text: string): boolean {
  return /^[\da-f.:]+$/i.test(text) && isLoopbackName(parseHost(text)?.hostname ?? "");
}
