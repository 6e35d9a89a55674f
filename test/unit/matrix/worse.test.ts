/** The matrix's verdict: what makes the gateway worse than direct, and what does not. */
import { expect, it } from "vitest";
import { goesOn, worse, type Run } from "../../matrix/cell.ts";

const said = (text: string) => ({ isError: false, content: [{ type: "text", text }] });
const failed = (words: string) => ({ failed: words });

const SEEN = {
  tools: [{ name: "echo", description: "Says it again" }],
  echo: said("hello"),
  count: said("counted to 3"),
  fail: failed("MCP error -32602: no message"),
  progress: [1, 2, 3],
};
const DIRECT: Run = { seen: SEEN };
const GOOD: Run = {
  seen: SEEN,
  interrupted: { outcome: failed("interrupted"), ms: 20 },
  again: { outcome: said("hello"), ms: 20 },
};

it("finds nothing where the gateway is as good", () => {
  expect(worse(DIRECT, GOOD)).toEqual([]);
  expect(goesOn(GOOD)).toBe(true);
});

it.each<[string, Run]>([
  ["tools", { ...GOOD, seen: { ...SEEN, tools: [{ name: "echo" }] } }],
  ["echo", { ...GOOD, seen: { ...SEEN, echo: said("hell") } }],
  ["count", { ...GOOD, seen: { ...SEEN, count: failed("never resolved") } }],
  ["fail", { ...GOOD, seen: { ...SEEN, fail: failed("upstream failed") } }],
  ["progress", { ...GOOD, seen: { ...SEEN, progress: [1, 3] } }],
  ["after a restart", { ...GOOD, again: { outcome: failed("Session not found"), ms: 20 } }],
  ["after a restart: 6000 ms", { ...GOOD, again: { outcome: said("hello"), ms: 6000 } }],
  ["a call that was interrupted", { ...GOOD, interrupted: { outcome: said("hello"), ms: 20 } }],
  [
    "a call that was interrupted ended after",
    { ...GOOD, interrupted: { outcome: failed("timed out"), ms: 10_000 } },
  ],
  ["the client ended: it said nothing", { seen: SEEN, ended: "it said nothing in time" }],
  ["the client ended: refused", { ended: "refused" }],
])("finds %s", (what, through) => {
  const found = worse(DIRECT, through);
  expect(found).toHaveLength(1);
  expect(found[0]?.startsWith(what)).toBe(true);
});

it("takes the loss of the last step of progress, and another URL in the words of a failure", () => {
  const fail = (url: string) => failed(`no tool at ${url}`);
  const direct = { seen: { ...SEEN, fail: fail("http://localhost:1/mcp") } };
  const through = { seen: { ...SEEN, fail: fail("http://127.0.0.1:2/sse"), progress: [1, 2] } };
  expect(worse(direct, through)).toEqual([]);
});

it("takes the tools in any order", () => {
  const tools = [{ name: "a" }, { name: "b" }];
  const [direct, through] = [tools, tools.toReversed()].map((one) => ({ ...SEEN, tools: one }));
  expect(worse({ ...DIRECT, seen: direct ?? SEEN }, { ...GOOD, seen: through ?? SEEN })).toEqual(
    [],
  );
});

it("takes an interrupted call that ends late where it does so direct", () => {
  const interrupted = { outcome: failed("timed out"), ms: 10_000 };
  expect(worse({ ...DIRECT, interrupted }, { ...GOOD, interrupted })).toEqual([]);
});

it("asks nothing of a pair that does not work direct", () => {
  expect(worse({ ended: "not a server" }, { ended: "not a server" })).toEqual([]);
});

it("says that a client does not go on if its call after the restart is missing or has failed", () => {
  expect(goesOn(DIRECT)).toBe(false);
  expect(goesOn({ ...GOOD, again: { outcome: failed("Session not found"), ms: 1 } })).toBe(false);
});
