import { expect, it, onTestFinished, vi } from "vitest";
import { originJudge, pageOriginOf } from "../../../src/auth/origin.ts";

const rules = { allowedHosts: new Set(["ours.example"]), allowedOrigins: new Set<string>() };

it("answers the same the second time, for each thing that was said", () => {
  const judge = originJudge(rules);
  const said = [
    ["http://ours.example/a", "ours.example", undefined, "allowed"],
    ["http://ours.example/a", undefined, undefined, "allowed"],
    ["http://ours.example/a", "", undefined, "refused"],
    ["http://ours.example/a", "undefined", undefined, "refused"],
    ["http://ours.example/a", "ours.example", "", "refused"],
    ["http://ours.example/a", "ours.example", "https://evil.example", "refused"],
    ["http://evil.example/ours.example", "ours.example", undefined, "refused"],
    ["http://evil.example", undefined, undefined, "refused"],
    ["http://evil.example?//ours.example/", undefined, undefined, "refused"],
  ] as const;
  for (let round = 0; round < 2; round++) {
    for (const [url, host, origin, kind] of said) {
      expect([url, host, origin, judge(url, host, origin).kind]).toEqual([url, host, origin, kind]);
    }
  }
});

it("judges a path's request by its host alone", () => {
  const judge = originJudge(rules);
  for (let n = 0; n < 1000; n++) {
    expect(judge(`http://h${n}.example/ours.example`, undefined, undefined).kind).toBe("refused");
    expect(judge(`http://ours.example/${n}`, "ours.example", undefined).kind).toBe("allowed");
  }
});

it("remembers a hundred verdicts and forgets them all with the next, and none with a long key", () => {
  const parse = vi.spyOn(URL, "parse");
  onTestFinished(() => parse.mockRestore());
  const judge = originJudge(rules);
  /** Whether the judge had to look at this host, which it then remembers. */
  const isNew = (host: string) => {
    parse.mockClear();
    expect(judge(`http://${host}/`, undefined, undefined).kind).toBe("refused");
    return parse.mock.calls.length > 0;
  };
  const hosts = Array.from({ length: 101 }, (_, n) => `h${n}.example`);
  const first = hosts.slice(0, 100);
  expect(first.every(isNew)).toBe(true);
  expect(first.some(isNew)).toBe(false);
  expect(isNew(hosts[100]!)).toBe(true);
  expect(first.every(isNew)).toBe(true);
  const long = "x".repeat(500);
  expect([isNew(long), isNew(long)]).toEqual([true, true]);
});

it.each([
  ["https://app.example", "https://app.example"],
  ["https://APP.example:443/", "https://app.example"],
  ["HTTPS://app.example", "https://app.example"],
  ["chrome-extension://abc", "chrome-extension://abc"],
  ["Chrome-Extension://AbC/", "chrome-extension://AbC"],
  ["app://.", "app://."],
  ["capacitor://localhost:8080", "capacitor://localhost:8080"],
  ["https://app.example/a", undefined],
  ["https://u@app.example", undefined],
  ["https://", undefined],
  ["app://a//", undefined],
  ["app://a?b", undefined],
  ["app://a#b", undefined],
  ["app://a\\b", undefined],
  ["app://u@a", undefined],
  ["app:a", undefined],
  ["://a", undefined],
  ["FILE://host", undefined],
  ["data://a", undefined],
  ["about://blank", undefined],
  ["blob://a", undefined],
  ["null", undefined],
  ["", undefined],
])("the origin of pages of %j is %j", (text, origin) => {
  expect(pageOriginOf(text)).toBe(origin);
});
