/** The same calls with few and many sessions, and with few and many retained events. */
import { quantiles } from "../../client/load.ts";
import type { ResumePlan } from "../../client/resume.ts";
import { claim, compare, compareAll, p50, rate, type Compared } from "../../comparison.ts";
import { resumptions } from "../../load-client.ts";
import { CONNECTIONS, requesting } from "../../loads.ts";
import { contend, progress, residentKiB, type Effort, type Load } from "../../measure.ts";
import { makeSession, publishEvents, startHoldfast, untilEvicted } from "../../servers.ts";
import { withServers, type Server } from "../../servers.ts";

/** Many readers come and go here, and each counts until the next keep-alive. */
const BOUNDS = { QUEUE_CAPACITY: "100000", MAX_WRITERS: "10000" };

interface Filled extends Pick<Server, "url" | "pid"> {
  readonly name: string;
  /** Sessions to read and to publish to. */
  readonly paths: readonly string[];
  /** Streams to resume. */
  streams: ResumePlan["streams"];
}

interface Jobs {
  readonly effort: Effort;
  readonly connections: number;
  /** Events that each resumption missed. */
  readonly missed: number;
  /** Wraps the load of publishes. */
  readonly publishing?: (of: Filled, load: Load) => Load;
  readonly more?: Readonly<Record<string, (of: Filled) => Load>>;
}

/** Compares the fullest service with the emptiest. */
async function compareSizes(filled: readonly Filled[], jobs: Jobs): Promise<Compared> {
  const { effort, connections, missed, publishing = (_, load) => load, more = {} } = jobs;
  const [few, most] = [filled[0]?.name ?? "", filled.at(-1)?.name ?? ""];
  const loads: Readonly<Record<string, (of: Filled) => Load>> = {
    read: (of) => requesting(of, { method: "GET", paths: of.paths }, connections),
    resume:
      ({ streams }) =>
      (seconds) =>
        resumptions({ streams, events: missed, seconds }),
    publish: (of) => {
      const plan = { method: "POST", body: '{"data":"x"}', paths: of.paths.map(eventsOf) };
      return publishing(of, requesting(of, plan, connections));
    },
    ...more,
  };
  const { rows, claims } = await compareAll(
    Object.entries(loads).map(([job, load]) => () => {
      const measures = [job === "resume" ? p50() : rate()];
      return compare({ job, ours: most, measures }, contend(filled, load), effort);
    }),
  );
  return { rows, claims: claims.filter(({ other }) => other === few) };
}

const eventsOf = (path: string) => `${path}/events`;

const SESSIONS = [1000, 10_000, 50_000];
/** Sessions that a load is spread over. */
export const SAMPLE = 200;
export const RESUMED = 20;
/** Events that a resumption missed. */
export const BATCH = 100;
const FIRST_READ = "first read of an evicted session";
const sessions = (size: number) => `${size.toLocaleString("en")} sessions`;

export function bySessions(folder: string, effort: Effort): Promise<Compared> {
  return withServers(async (start) => {
    const env = { ...BOUNDS, LOG_MAX_EVENTS: "100000" };
    const servers = await Promise.all(SESSIONS.map(() => start(startHoldfast(env, folder))));
    const filled = await Promise.all(servers.map((server, n) => populate(server, SESSIONS[n]!)));
    // Else workerd would evict the last sessions' objects while the first loads run.
    await untilEvicted();
    const firstReads: { server: string; p50: number; p99: number }[] = [];
    for (const { name, url, paths } of filled) {
      firstReads.push({ server: name, ...quantiles(await readEach(url, paths)) });
    }
    for (const one of filled) one.streams = await missing(one.url, one.paths);
    const post = { method: "POST", paths: ["/v1/sessions"], body: "{}" };
    const compared = await compareSizes(filled, {
      effort,
      connections: CONNECTIONS,
      missed: BATCH,
      more: {
        list: (of) => requesting(of, { method: "GET", paths: ["/v1/sessions?limit=50"] }),
        create: (of) => requesting(of, post),
      },
    });
    const memory = filled.map(async ({ name, pid }) => ({
      job: "memory at the end",
      server: name,
      "resident MiB": (await residentKiB(pid)) / 1024,
    }));
    const [few, most] = [firstReads[0]!, firstReads.at(-1)!];
    const what = `${FIRST_READ}, ${most.server}, p50, ms`;
    const first = claim({ what, other: few.server, ours: [most.p50], theirs: [few.p50] });
    return {
      rows: [
        ...firstReads.map((times) => ({ job: FIRST_READ, ...times })),
        ...compared.rows,
        ...(await Promise.all(memory)),
      ],
      claims: [first, ...compared.claims],
    };
  });
}

/** Makes sessions, and picks a random sample of them. */
async function populate(server: Server, size: number): Promise<Filled> {
  const ids: string[] = [];
  let wanted = size;
  const make = async () => {
    while (wanted-- > 0) {
      ids.push(await makeSession(server));
      if (ids.length % 10_000 === 0) progress(sessions(ids.length));
    }
  };
  await Promise.all(Array.from({ length: 4 * CONNECTIONS }, make));
  const pick = () => `/v1/sessions/${ids[Math.floor(Math.random() * ids.length)]}`;
  const { url, pid } = server;
  return {
    name: sessions(size),
    url,
    pid,
    paths: Array.from({ length: SAMPLE }, pick),
    streams: [],
  };
}

/** Milliseconds of the first read of each session, one after the other. It loads the object. */
async function readEach(url: string, paths: readonly string[]): Promise<number[]> {
  const times: number[] = [];
  for (const path of new Set(paths)) {
    const asked = performance.now();
    const answer = await fetch(url + path);
    await answer.text();
    if (answer.status !== 200) throw new Error(`a read answered ${answer.status}`);
    times.push(performance.now() - asked);
  }
  return times;
}

/** Streams with a batch of events after the one that the client has seen. */
function missing(url: string, paths: readonly string[]): Promise<ResumePlan["streams"]> {
  return Promise.all(
    paths.slice(0, RESUMED).map(async (path) => {
      const [lastEventId = ""] = await publishEvents(url + eventsOf(path), BATCH + 1);
      return { url: url + eventsOf(path), lastEventId };
    }),
  );
}

const EVENTS = [1, 1000, 10_000];

export function byEvents(folder: string, effort: Effort): Promise<Compared> {
  const retaining = async (size: number, starting: Promise<Server>): Promise<Filled> => {
    const { url, pid } = await starting;
    const path = `/v1/sessions/${await makeSession({ url })}`;
    const events = url + eventsOf(path);
    const ids = await whileFollowed(events, () => publishEvents(events, size + 1));
    const streams = [{ url: events, lastEventId: ids.at(-2) ?? "" }];
    return { name: `${size.toLocaleString("en")} retained`, url, pid, paths: [path], streams };
  };
  return withServers(async (start) => {
    const filling = EVENTS.map((size) => {
      const bounds = { LOG_MAX_EVENTS: String(size), LOG_MAX_BYTES: String(64 * 2 ** 20) };
      return retaining(size, start(startHoldfast({ ...BOUNDS, ...bounds }, folder)));
    });
    return compareSizes(await Promise.all(filling), {
      effort,
      connections: 8,
      missed: 1,
      publishing: ({ url, paths }, load) => {
        return (seconds) => whileFollowed(url + eventsOf(paths[0]!), () => load(seconds));
      },
    });
  });
}

/** A reader keeps the queue from filling, and lets each publish trim the log, as in service. */
async function whileFollowed<Result>(url: string, act: () => Promise<Result>): Promise<Result> {
  const leave = new AbortController();
  const { body } = await fetch(url, { signal: leave.signal });
  const reading = body?.pipeTo(new WritableStream()).catch(() => {});
  const result = await act();
  leave.abort();
  await reading;
  return result;
}
