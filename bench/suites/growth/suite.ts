/** Whether cost stays flat as sessions, retained events and open streams grow. */
import { compareAll } from "../../comparison.ts";
import type { Effort } from "../../measure.ts";
import type { Report } from "../../report.ts";
import { EVICTION_S, memoryFolder } from "../../servers.ts";
import { byEvents } from "./events.ts";
import { BATCH, bySessions, RESUMED, SAMPLE } from "./sessions.ts";
import { byStreams, STREAM_SESSIONS } from "./streams.ts";

const DEFAULT: Effort = { rounds: 2, seconds: 0.4 };

export async function growth(given: Partial<Effort>): Promise<Report> {
  const effort = { ...DEFAULT, ...given };
  const folder = await memoryFolder();
  const compared = await compareAll([
    () => bySessions(folder, effort),
    () => byEvents(folder, effort),
    () => byStreams(folder),
  ]);
  return {
    suite: "growth",
    title: "Growth",
    ...compared,
    notes: [
      `Storage in ${folder}: each create is eleven writes that a disk has to confirm, whose time would hide what grows. Three services, each with its number of sessions or events, alternate for ${effort.rounds} rounds of ${effort.seconds} s after a warm-up.`,
      `Sessions: reading and publishing to ${SAMPLE} of them taken at random; resuming ${RESUMED} of these after ${BATCH} missed events. A listing asks for 50.`,
      `First reads: each of the ${SAMPLE} once, one after the other, ${EVICTION_S} s after the last was made, when all have been put out of memory.`,
      "Retained events: reading, publishing to and resuming one session that retains so many; who resumes missed the last. Neither a create nor a listing touches a log.",
      `Streams: over ${STREAM_SESSIONS} sessions, left idle until their objects have been evicted (about 10 s after their last work), which is what is left after an hour too; memory is workerd's resident set. Then one more is opened on most of these, which wakes the object, and the others are published to. Each figure is of one measurement.`,
    ],
  };
}
