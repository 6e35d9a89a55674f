/** Token buckets, and the key of an address. */
import { describe, expect, it } from "vitest";
import {
  addressKey,
  addressOfPeer,
  boundLimiter,
  MAX_BUCKETS,
  TokenBuckets,
} from "../../../src/auth/rate-limit.ts";

describe("token buckets", () => {
  it("let a minute's worth pass at once, and then as it fills", async () => {
    let now = 0;
    const buckets = new TokenBuckets(60, () => now);
    for (let n = 0; n < 60; n++) expect(await buckets.take("a")).toBeUndefined();
    expect(await buckets.take("a")).toBe(1);
    expect(await buckets.take("b")).toBeUndefined();
    now += 999;
    expect(await buckets.take("a")).toBe(1);
    now += 2;
    expect(await buckets.take("a")).toBeUndefined();
    expect(await buckets.take("a")).toBe(1);
  });

  it("say how long to wait where that is more than a second", async () => {
    const buckets = new TokenBuckets(2, () => 0);
    await buckets.take("a");
    await buckets.take("a");
    expect(await buckets.take("a")).toBe(30);
  });

  it("never hold more than a minute's worth, nor lose any to a clock that goes back", async () => {
    let now = 1e9;
    const buckets = new TokenBuckets(2, () => now);
    await buckets.take("a");
    now += 1e9;
    const taken = [await buckets.take("a"), await buckets.take("a"), await buckets.take("a")];
    expect(taken).toEqual([undefined, undefined, 30]);
    now -= 1e9;
    expect(await buckets.take("a")).toBe(30);
  });

  it("are bounded in number, and forget the one longest untouched", async () => {
    const buckets = new TokenBuckets(1, () => 0);
    await buckets.take("first");
    for (let n = 0; n < MAX_BUCKETS - 1; n++) await buckets.take(`key ${n}`);
    expect(await buckets.take("first")).toBe(60);
    await buckets.take("one more");
    expect(await buckets.take("first")).toBe(60);
    for (let n = 0; n < MAX_BUCKETS + 50; n++) await buckets.take(`more ${n}`);
    expect(buckets.size).toBe(MAX_BUCKETS);
    expect(await buckets.take("first")).toBeUndefined();
  });
});

it("asks the platform's binding by the key, and has a refused caller wait for a minute", async () => {
  const asked: unknown[] = [];
  const answers = [true, false];
  const limiter = boundLimiter({
    limit: async (about) => {
      asked.push(about);
      return { success: answers.shift()! };
    },
  });
  expect([await limiter.take("a"), await limiter.take("b")]).toEqual([undefined, 60]);
  expect(asked).toEqual([{ key: "a" }, { key: "b" }]);
});

it.each([
  ["192.0.2.7", "192.0.2.7"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
  ["2001:DB8:1:2::9", "2001:db8:1:2"],
  ["2001:db8::9", "2001:db8:0:0"],
  ["2001:0db8:0000:0000::1", "2001:db8:0:0"],
  ["::1", "0:0:0:0"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["1::2:3:4:5:6:7", "1:0:2:3"],
  ["1:2::3:4:5:6:7", "1:2:0:3"],
  ["1:2:3::", "1:2:3:0"],
  // No address, such as a name that a proxy gives.
  [undefined, undefined],
  ["Local", "Local"],
  ["a:b", "a:b"],
])("%s is counted under %s", (address, key) => {
  expect(addressKey(address)).toBe(key);
});

it.each([
  ["192.0.2.7:50000", "192.0.2.7"],
  ["[2001:db8::1]:50000", "2001:db8::1"],
  ["x[1]", "x[1]"],
  ["[1]x", "[1]x"],
])("the address of %s is %s", (peer, address) => {
  expect(addressOfPeer(peer)).toBe(address);
});
