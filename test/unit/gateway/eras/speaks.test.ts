import { describe, expect, it } from "vitest";
import { learn, speaks, type Era } from "../../../../src/gateway/eras/speaks.ts";
import type { Upstream } from "../../../../src/gateway/upstream/upstream.ts";

let made = 0;

function upstream(era?: Era): Upstream {
  const url = `http://${made++}.example/mcp`;
  return {
    name: "default",
    replicas: [{ url, send: () => Promise.reject(new Error("nothing is sent")) }],
    headers: {},
    timeoutMs: 1000,
    silenceMs: 1000,
    callMs: 1000,
    forwardAuthorization: false,
    ...(era && { era }),
  };
}

describe("which eras an upstream speaks", () => {
  it("is not known at first", () => {
    const one = upstream();
    expect([speaks(one, "legacy"), speaks(one, "modern")]).toEqual([undefined, undefined]);
  });

  it("is learnt for each era by itself, and may change", () => {
    const one = upstream();
    expect(learn(one, "modern", true)).toBe(true);
    expect(learn(one, "modern", true)).toBe(false);
    expect([speaks(one, "legacy"), speaks(one, "modern")]).toEqual([undefined, true]);
    learn(one, "legacy", false);
    expect(learn(one, "modern", false)).toBe(true);
    expect([speaks(one, "legacy"), speaks(one, "modern")]).toEqual([false, false]);
  });

  it("is known to every copy of the upstream, and to no other upstream", () => {
    const one = upstream();
    learn(one, "legacy", true);
    expect(speaks({ ...one }, "legacy")).toBe(true);
    expect(speaks({ ...one, name: "other" }, "legacy")).toBeUndefined();
    expect(speaks(upstream(), "legacy")).toBeUndefined();
  });

  it("is what the operator says, whatever its answers seem to show", () => {
    const one = upstream("legacy");
    expect(learn(one, "modern", true)).toBe(false);
    expect([speaks(one, "legacy"), speaks(one, "modern")]).toEqual([true, false]);
  });
});
