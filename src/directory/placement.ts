/**
 * Decides which shard holds a session's entry, by the id and the number of shards alone. With
 * more shards an entry stays or moves to a new one (Lamping and Veach, "A Fast, Minimal Memory,
 * Consistent Hash Algorithm", 2014), so raising their number moves as few as possible.
 *
 * Stored entries depend on these functions: if they change, nobody finds the entries again.
 */

const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;
const JUMP_FACTOR = 2862933555777941757n;

/** The shard of a key, from 0 to `shards` - 1. */
export function placementOf(key: string, shards: number): number {
  return jump(hash(key), shards);
}

/** The object name of a shard. */
export function shardName(shard: number): string {
  return `shard-${shard}`;
}

/** FNV-1a, 64 bits, over UTF-16 units: ids are ASCII, and a subject needs no more than to be spread. */
function hash(key: string): bigint {
  let state = FNV_OFFSET;
  for (let i = 0; i < key.length; i++) {
    state = BigInt.asUintN(64, (state ^ BigInt(key.charCodeAt(i))) * FNV_PRIME);
  }
  return state;
}

function jump(start: bigint, buckets: number): number {
  let key = start;
  let bucket = -1;
  let next = 0;
  while (next < buckets) {
    bucket = next;
    key = BigInt.asUintN(64, key * JUMP_FACTOR + 1n);
    next = Math.floor(((bucket + 1) * 2 ** 31) / (Number(key >> 33n) + 1));
  }
  return bucket;
}
