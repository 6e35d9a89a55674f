/**
 * Rate limits: so many requests a minute for a key, a subject or an address. Where
 * Cloudflare's binding is bound it counts, for all of a location; else token
 * buckets in the process do.
 */

export interface RateLimiter {
  /** Takes one request. Undefined where it is within the limit, else seconds until another try may pass. */
  take(key: string): Promise<number | undefined>;
}

/** Cloudflare's rate limiting binding. */
export interface RateLimitBinding {
  limit(options: { key: string }): Promise<{ success: boolean }>;
}

/** Seconds: the binding counts by the minute and does not say how much of it is left. */
const BINDING_PERIOD_SECONDS = 60;

export function boundLimiter(binding: RateLimitBinding): RateLimiter {
  return {
    async take(key) {
      const { success } = await binding.limit({ key });
      return success ? undefined : BINDING_PERIOD_SECONDS;
    },
  };
}

interface Bucket {
  tokens: number;
  /** When `tokens` was right, in milliseconds since the epoch. */
  at: number;
}

/** Buckets kept at once, about 2 MB: an attacker with many addresses must not fill the memory. */
export const MAX_BUCKETS = 10_000;

/**
 * Token buckets that hold a minute's worth of requests and fill evenly. The one
 * longest untouched makes room for a new key: it is the one most likely full again.
 */
export class TokenBuckets implements RateLimiter {
  readonly #perMinute: number;
  readonly #now: () => number;
  /** In order of last use. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(perMinute: number, now: () => number) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  get size(): number {
    return this.#buckets.size;
  }

  async take(key: string): Promise<number | undefined> {
    const now = this.#now();
    const perMs = this.#perMinute / 60_000;
    const last = this.#buckets.get(key) ?? { tokens: this.#perMinute, at: now };
    const filled = last.tokens + Math.max(0, now - last.at) * perMs;
    const tokens = Math.min(this.#perMinute, filled);
    const passes = tokens >= 1;
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: passes ? tokens - 1 : tokens, at: now });
    if (this.#buckets.size > MAX_BUCKETS) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return passes ? undefined : Math.ceil((1 - tokens) / perMs / 1000);
  }
}

/** The address of a connection's other end, written with its port: `192.0.2.7:50000`, `[2001:db8::1]:50000`. */
export function addressOfPeer(peer: string): string {
  return peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

/** What an address is counted under: an IPv6 client has a whole /64 to itself, so that counts as one. */
export function addressKey(address: string | undefined): string | undefined {
  if (!address?.includes(":")) return address;
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - groups.length - after.length);
  const all = [...groups, ...Array.from({ length: zeros }, () => "0"), ...after];
  // An IPv4 address in IPv6 form is one client.
  if (all.at(-1)?.includes(".")) return all.at(-1)!;
  return all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, "").toLowerCase())
    .join(":");
}
