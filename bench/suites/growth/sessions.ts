/** The same calls where there are few sessions and where there are many. */
import { quantiles } from "../../client/load.ts";
import {
  claim,
  compare,
  compareAll,
  p50,
  rate,
  type Compared,
  type Measure,
} from "../../comparison.ts";
import { resumptions } from "../../load-client.ts";
import { CONNECTIONS, requesting } from "../../loads.ts";
import { contend, progress, residentKiB, type Effort, type Load } from "../../measure.ts";
import {
  makeSession,
  publishEvents,
  startHoldfast,
  untilEvicted,
  type Server,
  withServers,
} from "../../servers.ts";

const SIZES = [1000, 10_000, 50_000] as const;
/** Sessions that a load is spread over. */
export const SAMPLE = 200;
export const RESUMED = 20;
/** Events in one publish, and missed by who resumes. */
export const BATCH = 100;

const called = (size: number) => `${size.toLocaleString("en")} sessions`;
const FIRST_READ = "first read of an evicted session";
const [FEW, MOST] = [called(SIZES[0]), called(SIZES[2])];

interface Populated {
  readonly name: string;
  readonly pid: number;
  readonly server: Server;
  readonly paths: readonly string[];
}

export function bySessions(folder: string, effort: Effort): Promise<Compared> {
  // Whoever left counts as a writer until the next keep-alive, and many come and go here.
  const env = { QUEUE_CAPACITY: "100000", LOG_MAX_EVENTS: "100000", MAX_WRITERS: "10000" };
  return withServers(async (start) => {
    const servers = await Promise.all(SIZES.map(() => start(startHoldfast(env, folder))));
    const populated = await Promise.all(
      servers.map((server, n) => populate(server, SIZES[n] ?? 0)),
    );
    const job = (job: string, measure: Measure, load: (of: Populated) => Load) => () =>
      compare({ job, ours: MOST, measures: [measure] }, contend(populated, load), effort);
    // Else those made last would be put away while the first loads run.
    await untilEvicted();
    const first = new Map<string, number[]>();
    for (const one of populated) first.set(one.name, await firstReads(one));
    const firstP50 = (name: string) => [quantiles(first.get(name) ?? []).p50];
    const streams = new Map<string, Awaited<ReturnType<typeof missed>>>();
    for (const { name, server, paths } of populated) streams.set(name, await missed(server, paths));
    const compared = await compareAll([
      job("read", rate(), ({ server, paths }) => requesting(server, { method: "GET", paths })),
      job("resume", p50(), ({ name }) => {
        const missing = streams.get(name) ?? [];
        return (seconds) => resumptions({ streams: missing, events: BATCH, seconds });
      }),
      job("publish", rate(), ({ server, paths }) => {
        const events = paths.map((path) => `${path}/events`);
        return requesting(server, { method: "POST", paths: events, body: '{"data":"x"}' });
      }),
      job("list", rate(), ({ server }) =>
        requesting(server, { method: "GET", paths: ["/v1/sessions?limit=50"] }),
      ),
      job("create", rate(), ({ server }) =>
        requesting(server, { method: "POST", paths: ["/v1/sessions"], body: "{}" }),
      ),
    ]);
    const memory = populated.map(async ({ name, server: { pid } }) => ({
      job: "memory at the end",
      server: name,
      "resident MiB": (await residentKiB(pid)) / 1024,
    }));
    return {
      rows: [
        ...[...first].map(([server, times]) => ({ job: FIRST_READ, server, ...quantiles(times) })),
        ...compared.rows,
        ...(await Promise.all(memory)),
      ],
      claims: [
        claim({
          what: `${FIRST_READ}, ${MOST}, p50, ms`,
          other: FEW,
          ours: firstP50(MOST),
          theirs: firstP50(FEW),
        }),
        ...compared.claims.filter(({ other }) => other === FEW),
      ],
    };
  });
}

/** Makes so many sessions, some at a time, and picks those that are used later. */
async function populate(server: Server, size: number): Promise<Populated> {
  const ids: string[] = [];
  let wanted = size;
  const make = async () => {
    while (wanted-- > 0) {
      ids.push(await makeSession(server));
      if (ids.length % 10_000 === 0) progress(called(ids.length));
    }
  };
  await Promise.all(Array.from({ length: 4 * CONNECTIONS }, make));
  const pick = () => `/v1/sessions/${ids[Math.floor(Math.random() * ids.length)]}`;
  return {
    name: called(size),
    pid: server.pid,
    server,
    paths: Array.from({ length: SAMPLE }, pick),
  };
}

/**
 * Milliseconds that it takes to read each session that is used later once, one after the
 * other: they have been put out of memory. What follows finds all of them loaded.
 */
async function firstReads({ server, paths }: Populated): Promise<number[]> {
  const times: number[] = [];
  for (const path of new Set(paths)) {
    const asked = performance.now();
    const answer = await fetch(server.url + path);
    await answer.text();
    if (answer.status !== 200) throw new Error(`a read answered ${answer.status}`);
    times.push(performance.now() - asked);
  }
  return times;
}

/** Some of the streams, each with a batch of events after one that its client has seen. */
function missed(server: Server, paths: readonly string[]) {
  return Promise.all(
    paths.slice(0, RESUMED).map(async (path) => {
      const url = `${server.url}${path}/events`;
      const [lastEventId = ""] = await publishEvents(url, BATCH + 1);
      return { url, lastEventId };
    }),
  );
}
