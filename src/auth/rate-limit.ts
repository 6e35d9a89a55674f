/**
 * Limits the requests per minute of a key: a subject or an address. Cloudflare's binding, if
 * there is one, counts for a whole location; otherwise token buckets count for this process.
 */

export interface RateLimiter {
  /** Counts one request. Returns undefined within the limit, else the seconds until a retry may pass. */
  take(key: string): Promise<number | undefined>;
}

/** Cloudflare's rate limiting binding. */
export interface RateLimitBinding {
  limit(options: { key: string }): Promise<{ success: boolean }>;
}

/** Seconds: the binding counts by the minute and does not say how many remain. */
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
  /** The time at which `tokens` was right, in milliseconds since the epoch. */
  at: number;
}

/** Buckets to keep, about 2 MB: an attacker with many addresses must not fill the memory. */
export const MAX_BUCKETS = 10_000;

/**
 * Token buckets of one minute's requests, which fill evenly. A new key takes the place of the
 * bucket that was unused for longest, because that one is most likely full again.
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

/** Removes the port from a peer's address: `192.0.2.7:50000`, `[2001:db8::1]:50000`. */
export function addressOfPeer(peer: string): string {
  return peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

/** The key to count an address under. An IPv6 client has a whole /64, so a /64 is one key. */
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
