/** The modules that decide, and the tests that have to notice a fault in each: unit tests in Node, because each mutant runs them. */

/** The tests of a source file, by its path under `src`. A test's path is under `test/unit`; a folder means all its tests. */
export const MODULES: Readonly<Record<string, readonly string[]>> = {
  "core/expiry.ts": ["core/expiry.test.ts"],
  "stream/event-log.ts": ["stream/event-log.test.ts", "stream/evicted.test.ts"],
  "stream/unread.ts": ["stream/unread.test.ts"],
  "stream/subscribers.ts": ["stream/subscribers.test.ts", "stream/evicted.test.ts"],
  "stream/bridge.ts": ["stream/bridge.test.ts", "stream/bridge-pieces.test.ts"],
  "session/lifecycle.ts": [
    "session/lifecycle.test.ts",
    "session/life.test.ts",
    "session/interleaving.test.ts",
  ],
  "directory/outbox.ts": ["directory/outbox.test.ts", "session/interleaving.test.ts"],
  "gateway/object/exchange.ts": [
    "gateway/object/exchange.test.ts",
    "gateway/object/exchange-body.test.ts",
    "gateway/object/answers.test.ts",
    "gateway/object/legacy.test.ts",
    "gateway/object/use.test.ts",
    "gateway/object/evicted.test.ts",
    "gateway/object/parked.test.ts",
    "gateway/object/streams.test.ts",
    "gateway/object/upstream-link.test.ts",
  ],
  "gateway/object/streams.ts": [
    "gateway/object/streams.test.ts",
    "gateway/object/answers.test.ts",
    "gateway/object/evicted.test.ts",
    "gateway/object/parked.test.ts",
  ],
  "gateway/object/upstream-link.ts": [
    "gateway/object/upstream-link.test.ts",
    "gateway/object/legacy.test.ts",
    "gateway/object/parked.test.ts",
  ],
  "directory/shard-index.ts": ["directory/shard-index.test.ts"],
  "directory/client.ts": ["directory/client.test.ts"],
  "directory/admission.ts": ["directory/admission.test.ts"],
  "directory/reservations.ts": ["directory/reservations.test.ts"],
  "directory/listing.ts": ["directory/listing.test.ts"],
  "directory/placement.ts": ["directory/placement.test.ts"],
  "directory/staleness.ts": ["directory/listing.test.ts", "directory/staleness.test.ts"],
  "directory/rebalance.ts": ["directory/rebalance.test.ts"],
  "directory/revocations.ts": ["directory/revocations.test.ts"],
  "http/guard.ts": ["http/guard.test.ts"],
  "auth/access.ts": ["auth/access.test.ts"],
};
