/** Shows whether cost stays flat while sessions, retained events and open streams grow. */
import { on, once } from "node:events";
import type { IncomingMessage } from "node:http";
import { quantiles } from "../../client/load.ts";
import { openStream } from "../../client/streams.ts";
import { claim, compareAll, type Compared } from "../../comparison.ts";
import { progress, residentKiB, type Effort } from "../../measure.ts";
import type { Report } from "../../report.ts";
import { EVICTION_S, memoryFolder, publishEvents, makeSession } from "../../servers.ts";
import { startHoldfast, untilEvicted, withServers, type Server } from "../../servers.ts";
import { BATCH, byEvents, bySessions, RESUMED, SAMPLE } from "./sizes.ts";

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

const STREAMS = 5000;
const AT_ONCE = 50;
/** Each has ten of the idle streams: MAX_WRITERS bounds the streams of a session. */
const STREAM_SESSIONS = 500;
/** Streams opened first, and again when all objects are evicted: one on each of so many sessions. */
const MORE = 400;

function byStreams(folder: string): Promise<Compared> {
  return withServers(async (start) => idleStreams(await start(startHoldfast({}, folder))));
}

async function idleStreams(server: Server): Promise<Compared> {
  const streams: IncomingMessage[] = [];
  const ids = await Promise.all(Array.from({ length: STREAM_SESSIONS }, () => makeSession(server)));
  const urlOf = (n: number) => `${server.url}/v1/sessions/${ids[n % ids.length]}/events`;
  /** Opens streams in batches, spread over the sessions in turn. */
  const openMore = async (count: number) => {
    const took: number[] = [];
    const started = performance.now();
    const from = streams.length;
    for (let n = from; n < from + count; n += AT_ONCE) {
      const some = Array.from({ length: AT_ONCE }, async (_, k) => {
        const asked = performance.now();
        const stream = await openStream(urlOf(n + k));
        await once(stream, "readable");
        stream.resume();
        took.push(performance.now() - asked);
        return stream;
      });
      streams.push(...(await Promise.all(some)));
    }
    return { perSecond: (count * 1000) / (performance.now() - started), ...quantiles(took) };
  };
  const resident = () => residentKiB(server.pid);
  try {
    const before = await resident();
    const first = await openMore(MORE);
    await openMore(STREAMS - MORE);
    const justOpened = ((await resident()) - before) / STREAMS;
    progress(`${STREAMS} streams open`);
    await untilEvicted();
    const evicted = ((await resident()) - before) / STREAMS;
    const more = await openMore(MORE);
    const woken = await deliveriesTo(streams, urlOf);
    const row = { server: `${STREAMS.toLocaleString("en")} streams` };
    const compared = { other: "just opened", ours: [evicted], theirs: [justOpened] };
    const opening = `open ${MORE}, ${AT_ONCE} at a time`;
    return {
      rows: [
        { ...row, job: `${opening}: the first, and KiB of all`, ...first, "KiB each": justOpened },
        { ...row, job: `${opening}: more, all objects evicted`, ...more, "KiB each": evicted },
        { ...row, job: "publish to an evicted object, to its last reader", ...quantiles(woken) },
      ],
      claims: [
        claim({ what: "memory of an idle stream, its object evicted, KiB", ...compared }),
        claim({
          what: `open a stream beside ${STREAMS.toLocaleString("en")}, objects evicted, p50, ms`,
          other: `the first ${MORE}, objects awake`,
          ours: [more.p50],
          theirs: [first.p50],
        }),
      ],
    };
  } finally {
    for (const stream of streams) stream.destroy();
  }
}

/** Milliseconds from a publish to an evicted session to its last reader, for each session in turn. */
async function deliveriesTo(
  streams: readonly IncomingMessage[],
  urlOf: (session: number) => string,
): Promise<number[]> {
  const times: number[] = [];
  for (let session = MORE; session < STREAM_SESSIONS; session++) {
    const readers = streams.filter((_, n) => n % STREAM_SESSIONS === session);
    const received = readers.map((reader) => receives(reader, "data: #0"));
    const started = performance.now();
    await publishEvents(urlOf(session), 1);
    await Promise.all(received);
    times.push(performance.now() - started);
  }
  return times;
}

async function receives(stream: IncomingMessage, text: string): Promise<void> {
  for await (const [chunk] of on(stream, "data")) if ((chunk as Buffer).includes(text)) return;
}
