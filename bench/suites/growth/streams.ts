/** Many idle streams: what each takes, and what it takes once nothing has happened for long. */
import { Agent, get, type IncomingMessage } from "node:http";
import { quantiles } from "../../client/load.ts";
import { claim, type Compared } from "../../comparison.ts";
import { progress, residentKiB } from "../../measure.ts";
import {
  makeSession,
  publishEvents,
  startHoldfast,
  untilEvicted,
  type Server,
  withServers,
} from "../../servers.ts";

const STREAMS = 5000;
const AT_ONCE = 50;
/** Sessions that the idle streams are spread over, ten on each: MAX_WRITERS bounds what one may have. */
export const STREAM_SESSIONS = 500;
/** Opened first, and as many once all objects are evicted: one on each of so many sessions. */
const MORE = 400;

export function byStreams(folder: string): Promise<Compared> {
  return withServers(async (start) => idleStreams(await start(startHoldfast({}, folder))));
}

async function idleStreams(server: Server): Promise<Compared> {
  const agent = new Agent({ keepAlive: false });
  const streams: IncomingMessage[] = [];
  const ids = await Promise.all(Array.from({ length: STREAM_SESSIONS }, () => makeSession(server)));
  const { hostname, port } = new URL(server.url);
  const path = (n: number) => `/v1/sessions/${ids[n % ids.length]}/events`;
  /** Opens so many, some at a time: the n-th of all in the n-th session, and round again. */
  const openMore = async (count: number) => {
    const took: number[] = [];
    const started = performance.now();
    const from = streams.length;
    for (let n = from; n < from + count; n += AT_ONCE) {
      const some = Array.from({ length: AT_ONCE }, async (_, k) => {
        const asked = performance.now();
        const stream = await open({ hostname, port, agent, path: path(n + k) });
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
    const woken = await deliveriesTo(streams, (n) => server.url + path(n));
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
    agent.destroy();
  }
}

/** Publishes to the sessions that are still evicted, one after the other: milliseconds until the last of each one's readers has the event. */
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

function receives(stream: IncomingMessage, text: string): Promise<void> {
  return new Promise((resolve) => {
    const look = (chunk: Buffer): void => {
      if (!chunk.includes(text)) return;
      stream.off("data", look);
      resolve();
    };
    stream.on("data", look);
  });
}

function open(options: { hostname: string; port: string; path: string; agent: Agent }) {
  return new Promise<IncomingMessage>((resolve, reject) => {
    get(options, (incoming) => {
      if (incoming.statusCode === 200) incoming.once("data", () => resolve(incoming)).resume();
      else reject(new Error(`following answered ${incoming.statusCode}`));
      incoming.on("error", () => {});
    }).on("error", reject);
  });
}
