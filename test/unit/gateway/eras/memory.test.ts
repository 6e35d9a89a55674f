import { expect, it } from "vitest";
import { EraMemory } from "../../../../src/gateway/eras/memory.ts";
import {
  asksAside,
  known,
  learn,
  learnAside,
  speaks,
} from "../../../../src/gateway/eras/speaks.ts";
import type { Upstream } from "../../../../src/gateway/upstream/upstream.ts";

const upstream = (name: string, url = "http://a/mcp"): Upstream => ({
  name,
  replicas: [{ url, send: () => Promise.reject(new Error("nothing is sent")) }],
  headers: {},
  timeoutMs: 1,
  silenceMs: 1,
  callMs: 1,
  forwardAuthorization: false,
});

function notes(kept = new Map<string, string>()) {
  const reads: string[] = [];
  const read = async (name: string) => {
    reads.push(name);
    return kept.get(name);
  };
  const write = async (name: string, text: string) => void kept.set(name, text);
  return { kept, reads, memory: new EraMemory({ read, write }) };
}

it("tells another isolate what was learnt, and asks once", async () => {
  const { kept, memory } = notes();
  learn(upstream("one"), "modern", false);
  await memory.remember(upstream("one"));
  const [[name = "", text = ""] = []] = kept;
  // The same server under another name stands for the same one in an isolate that knows nothing.
  const moved = text.replaceAll("one", "two");
  const other = notes(new Map([[name.replace("one", "two"), moved]]));
  await Promise.all([other.memory.recall(upstream("two")), other.memory.recall(upstream("two"))]);
  expect([speaks(upstream("two"), "modern"), other.reads.length]).toEqual([false, 1]);
});

it("tells another isolate of a server that names no call, is asked once, and stores it once", async () => {
  const { kept, memory } = notes();
  learnAside(upstream("four"), "the first version");
  await Promise.all([
    memory.rememberAside(upstream("four")),
    memory.rememberAside(upstream("four")),
  ]);
  const [[name = "", text = ""] = []] = kept;
  kept.clear();
  await memory.rememberAside(upstream("four"));
  expect(kept.size).toBe(0);
  // Another version is another server.
  learnAside(upstream("four"), "the next version");
  await memory.rememberAside(upstream("four"));
  expect([...kept.values()]).toEqual([text.replace("first", "next")]);
  const moved = new Map([[name.replace("four", "five"), text.replace("four", "five")]]);
  const other = notes(moved);
  await Promise.all([
    other.memory.recallAside(upstream("five")),
    other.memory.recallAside(upstream("five")),
  ]);
  expect([asksAside(upstream("five")), other.reads.length]).toEqual(["the first version", 1]);
  await other.memory.recallAside(upstream("six"));
  await notes(moved).memory.recallAside(upstream("five", "http://elsewhere/mcp"));
  expect(asksAside(upstream("six"))).toBeUndefined();
  expect(asksAside(upstream("five", "http://elsewhere/mcp"))).toBeUndefined();
});

it("keeps what an answer has shown while the memory was asked", async () => {
  const [one, at] = [upstream("seven"), known(upstream("seven")).at];
  const { memory } = notes(
    new Map([
      ["aside seven", JSON.stringify({ at, server: "the first version" })],
      ["era seven", JSON.stringify({ at, modern: true, legacy: false })],
    ]),
  );
  const asked = [memory.recallAside(one), memory.recall(one)];
  learnAside(one, "the next version");
  learn(one, "modern", false);
  await Promise.all(asked);
  expect(asksAside(one)).toBe("the next version");
  expect([speaks(one, "modern"), speaks(one, "legacy")]).toEqual([false, false]);
});

it("forgets an upstream whose address has changed, and works without any memory", async () => {
  const { memory } = notes(
    new Map([["era three", JSON.stringify({ at: "elsewhere", modern: false })]]),
  );
  await memory.recall(upstream("three"));
  expect(speaks(upstream("three"), "modern")).toBeUndefined();
  const failing = new EraMemory({
    read: () => Promise.reject(new Error("down")),
    write: () => Promise.reject(new Error("down")),
  });
  await failing.recall(upstream("three"));
  await failing.remember(upstream("three"));
  expect(speaks(upstream("three"), "modern")).toBeUndefined();
});
