/** The limits per subject and per owner: who gets a place, and when it is given back. */
import { expect, it } from "vitest";
import { loadConfig } from "../../../src/config/service.ts";
import type { SessionId } from "../../../src/core/id.ts";
import { Admission, taskAdmission } from "../../../src/directory/admission.ts";
import type { DirectoryClient } from "../../../src/directory/client.ts";

const ID = "8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01" as SessionId;

/** A directory that admits as `admit` says. Notes what is done, in turn. */
function directory(admit: (type?: string) => Promise<boolean> = async () => true) {
  const done: unknown[] = [];
  const client = {
    admit: async (subject: string, id: string, limit: number, type?: string) => {
      done.push(["admit", subject, id, limit, type]);
      return admit(type);
    },
    release: async (subject: string, id: string) => void done.push(["release", subject, id]),
  };
  const note = (what: string) => async () => void done.push(what);
  return { client: client as unknown as DirectoryClient, done, note };
}

const admitted = ["admit", "alice", ID, 2, undefined];
const released = ["release", "alice", ID];

it("makes a session that has a place, waits until it is listed, and then gives the place back", async () => {
  const { client, done, note } = directory();
  const make = async () => {
    done.push("made");
    return "session";
  };
  const admission = new Admission(client, 2);
  expect(await admission.run("alice", ID, make, note("listed"))).toBe("session");
  expect(done).toEqual([admitted, "made", "listed", released]);
});

it("makes nothing without a place, and says which limit is reached", async () => {
  const { client, done, note } = directory(async () => false);
  const of = (type?: "task") =>
    new Admission(client, 2, type).run("alice", ID, note("made"), note("listed"));
  await expect(of()).rejects.toMatchObject({
    code: "rate_limited",
    message: expect.stringContaining("2 sessions, the most that MAX_SESSIONS_PER_SUBJECT"),
  });
  await expect(of("task")).rejects.toThrow("2 tasks, the most that MAX_TASKS_PER_OWNER");
  expect(done).toEqual([admitted, ["admit", "alice", ID, 2, "task"]]);
});

it("makes the session where the directory does not answer", async () => {
  const { client, done, note } = directory(() => Promise.reject(new Error("down")));
  await new Admission(client, 2).run("alice", ID, note("made"), note("listed"));
  expect(done).toEqual([admitted, "made", "listed", released]);
});

it("gives the place back where the session could not be made or listed", async () => {
  const { client, done, note } = directory();
  const fail = () => Promise.reject(new Error("failed"));
  const admission = new Admission(client, 2);
  await expect(admission.run("alice", ID, fail, note("listed"))).rejects.toThrow("failed");
  expect(done.splice(0)).toEqual([admitted, released]);
  await expect(admission.run("alice", ID, note("made"), fail)).rejects.toThrow("failed");
  expect(done).toEqual([admitted, "made", released]);
});

it("answers with the session where the place cannot be given back", async () => {
  const { client, note } = directory();
  client.release = () => Promise.reject(new Error("down"));
  const made = new Admission(client, 2).run("alice", ID, async () => "session", note("listed"));
  await expect(made).resolves.toBe("session");
});

it.each([
  [
    "both limits",
    "3",
    "4",
    ["admit 3 undefined", "admit 4 task", "made", "listed", "release", "listed", "release"],
  ],
  ["a limit of sessions", "3", "0", ["admit 3 undefined", "made", "listed", "release"]],
  ["a limit of tasks", "0", "4", ["admit 4 task", "made", "listed", "release"]],
  ["no limit", "0", "0", ["made"]],
])("a task takes a place of each kind under %s", async (_which, sessions, tasks, expected) => {
  const { client, done, note } = directory();
  const config = loadConfig({ MAX_SESSIONS_PER_SUBJECT: sessions, MAX_TASKS_PER_OWNER: tasks });
  await taskAdmission(client, config, note("listed"))(ID, "alice", note("made"));
  const steps = done.map((step) => {
    if (!Array.isArray(step)) return step;
    const [what, , , limit, type] = step as unknown[];
    return what === "admit" ? `admit ${limit} ${type}` : what;
  });
  expect(steps).toEqual(expected);
});

it("makes a task of nobody, and one without a directory, without a limit", async () => {
  const config = loadConfig({ MAX_SESSIONS_PER_SUBJECT: "1", MAX_TASKS_PER_OWNER: "1" });
  const { client, done, note } = directory(async () => false);
  await taskAdmission(client, config, note("listed"))(ID, undefined, note("made"));
  await taskAdmission(undefined, config, note("listed"))(ID, "alice", note("made"));
  expect(done).toEqual(["made", "made"]);
});
