/** The auditor finds each kind of broken promise in a history that is sound otherwise. */
import { describe, expect, it } from "vitest";
import { audit } from "../../soak/audit/audit.ts";
import type { Call, Keeping, Outcome } from "../../soak/history.ts";
import { S, change, found, history, keeping, kept, publish, soundCall } from "./histories.ts";

it("finds nothing in a sound history", () => {
  expect(audit(history())).toEqual([]);
});

describe("sessions and records", () => {
  const created = () => change("create", "done", "a");

  it("an acknowledged session is there at the end, and was there all the time", () => {
    expect(kept([created()])).toEqual(["session lost"]);
    expect(kept([created(), change("read", "missing")], "a")).toEqual(["session lost"]);
  });

  it("a publish that does not find a session that is there says that it was lost", () => {
    expect(found({ publishes: [publish([1], "missing")], followings: [], logs: [] })).toEqual([]);
    const made = created();
    const publishes = [publish([1], "missing")];
    const keepings = [keeping([made], "a")];
    expect(found({ keepings, publishes, followings: [], logs: [] })).toEqual(["session lost"]);
  });

  it("a deleted session that is there, or that a later call finds, was resurrected", () => {
    expect(kept([created(), change("delete")], "a")).toEqual(["session resurrected"]);
    expect(kept([created(), change("delete"), change("write", "done", "b")])).toEqual([
      "session resurrected",
    ]);
  });

  it("a session whose time was up, or that was never made, is left over", () => {
    const past = { ...keeping([created()], "a"), expiring: new Set([S]) };
    expect(found({ keepings: [past], followings: [], publishes: [], logs: [] })).toEqual([
      "session left over",
    ]);
    expect(kept([change("create", "refused", "a")], "a")).toEqual(["session left over"]);
  });

  it("a session with a time is there until it is up", () => {
    const read = (inTime: boolean, outcome: Outcome) => {
      const made = created();
      const look = { ...change("read", outcome, outcome === "done" ? "a" : undefined), inTime };
      const past = { ...keeping([made, look]), expiring: new Set([S]) };
      return found({ keepings: [past], followings: [], publishes: [], logs: [] });
    };
    expect(read(true, "done")).toEqual([]);
    expect(read(true, "unknown")).toEqual([]);
    expect(read(false, "missing")).toEqual([]);
    expect(read(true, "missing")).toEqual(["session lost"]);
  });

  it("calls whose answer was lost may have happened or not", () => {
    expect(kept([change("create", "unknown", "a")])).toEqual([]);
    expect(kept([change("create", "unknown", "a")], "a")).toEqual([]);
    expect(kept([created(), change("delete", "unknown")])).toEqual([]);
    expect(kept([created(), change("delete", "unknown")], "a")).toEqual([]);
    for (const value of ["a", "b"]) {
      expect(kept([created(), change("write", "unknown", "b")], value)).toEqual([]);
    }
  });

  it("the last acknowledged write holds", () => {
    const writes = [created(), change("write", "unknown", "b"), change("write", "done", "c")];
    expect(kept(writes, "c")).toEqual([]);
    expect(kept(writes, "b")).toEqual(["write lost"]);
    expect(kept([...writes, change("read", "done", "a")], "c")).toEqual(["write lost"]);
  });

  it("a conditional write fails only where another may have come before it", () => {
    const refused = () => change("write", "refused", "b");
    expect(kept([created(), refused()], "a")).toEqual(["answer not allowed"]);
    expect(kept([created(), change("write", "unknown", "c"), refused()], "a")).toEqual([]);
  });

  it("the index names each session that is there, once, and no other, and counts them", () => {
    const sound = keeping([created()], "a");
    const indexed = (index: Partial<Keeping>) => found({ keepings: [{ ...sound, ...index }] });
    expect(indexed({ listed: [], counted: 0 })).toEqual(["listing wrong"]);
    expect(indexed({ listed: [S, S] })).toEqual(["listing wrong"]);
    expect(indexed({ counted: 2 })).toEqual(["listing wrong"]);
    const stranger = { listed: [S, "stranger"], counted: 2, found: new Map(sound.found) };
    expect(indexed(stranger)).toContain("listing wrong");
    stranger.found.set("stranger", "");
    expect(indexed(stranger)).toEqual(["listing wrong"]);
    expect(indexed({ ...stranger, unnamed: 1 })).toEqual([]);
  });
});

describe("calls through the gateway", () => {
  const called = (call: Partial<Call>) => found({ calls: [{ ...soundCall, ...call }] });

  it("a call that ends with nothing is lost; an interrupted one where nothing was ended, too", () => {
    expect(called({ end: undefined })).toEqual(["call lost"]);
    expect(called({ end: "interrupted", seen: [1] })).toEqual(["call lost"]);
    expect(called({ end: "interrupted", seen: [1], disturbed: true })).toEqual([]);
    expect(called({ end: "unanswered", seen: [] })).toEqual(["call lost"]);
    expect(called({ end: "unanswered", seen: [], disturbed: true })).toEqual([]);
    expect(called({ end: undefined, seen: [], disturbed: true })).toEqual(["call lost"]);
  });

  it("each step comes once, in order, and nothing after the end", () => {
    expect(called({ seen: [1, 3] })).toEqual(["step lost"]);
    expect(called({ seen: [1, 2] })).toEqual(["step lost"]);
    expect(called({ seen: [1, 2, 2, 3] })).toEqual(["step repeated"]);
    expect(called({ afterwards: 1 })).toEqual(["step repeated"]);
  });
});

it("an answer that no contract allows is a finding", () => {
  expect(audit(history({ unexpected: new Map([["GET /: 500", 2]]) }))).toEqual([
    { kind: "answer not allowed", where: "GET /: 500", detail: "2 times" },
  ]);
});
