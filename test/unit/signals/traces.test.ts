import { afterEach, expect, it } from "vitest";
import { SessionError } from "../../../src/core/errors.ts";
import { traced, traceWith } from "../../../src/signals/traces.ts";

afterEach(() => traceWith(undefined));

function recording(isTraced = true, tells = true) {
  const spans: [string, Record<string, string>][] = [];
  const enterSpan = <T>(name: string, work: (span: object) => T): T => {
    const attributes: Record<string, string> = {};
    spans.push([name, attributes]);
    return work({
      isTraced,
      setAttribute: (key: string, value: string) => (attributes[key] = value),
    });
  };
  traceWith({ tracing: { enterSpan, ...(tells && { getActiveSpan: () => ({ isTraced }) }) } });
  return spans;
}

const publish = (work: Promise<string>) =>
  traced("span", { upstream: "docs" }, { of: (value) => `was ${value}` }, () => work);

it("says how the work came out", async () => {
  const spans = recording();
  expect(await publish(Promise.resolve("a"))).toBe("a");
  await expect(publish(Promise.reject(new SessionError("stream_ended")))).rejects.toThrow();
  await expect(publish(Promise.reject(new TypeError("secret")))).rejects.toThrow("secret");
  expect(spans).toEqual([
    ["span", { upstream: "docs", outcome: "was a" }],
    ["span", { upstream: "docs", outcome: "stream_ended" }],
    ["span", { upstream: "docs", outcome: "failed" }],
  ]);
});

it.each([undefined, {}, { tracing: {} }])(
  "makes no span on a platform without: %j",
  async (platform) => {
    const spans = recording();
    traceWith(platform);
    expect(await publish(Promise.resolve("a"))).toBe("a");
    expect(spans).toEqual([]);
  },
);

it("makes no span for a request that nobody traces", async () => {
  const spans = recording(false);
  expect(await publish(Promise.resolve("a"))).toBe("a");
  expect(spans).toEqual([]);
});

it("says nothing in a span that nobody gets, where the platform cannot tell before", async () => {
  const spans = recording(false, false);
  expect(await publish(Promise.resolve("a"))).toBe("a");
  expect(spans).toEqual([["span", {}]]);
});
