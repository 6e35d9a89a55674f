/** Fan-out and resumption of SSE, against nchan: an nginx module in C that keeps its messages in memory. */
import { compare, compareAll, OURS, p50, rate, type Compared } from "../../comparison.ts";
import { resumptions } from "../../load-client.ts";
import { delivering, EVENT, newEvents, PADDING, type Channel } from "../../loads.ts";
import { contend, type Effort, type Summary } from "../../measure.ts";
import type { Report } from "../../report.ts";
import { startHoldfast, type Server, withServers, type Start } from "../../servers.ts";
import { PEERS_EFFORT } from "../installed.ts";
import { HOW_TO_INSTALL, nchanVersion, startNchan } from "./server.ts";

const SUBSCRIBERS = [1, 10, 100];
const PUBLISHERS = 16;
const MISSED_EVENTS = 1000;
/** Events that Holdfast takes in one publish. */
const BATCH = 100;
/** Twice what is missed, so that nothing is trimmed on either side. */
const KEPT_EVENTS = 2 * MISSED_EVENTS;

/** One service for events, and the paths of a channel that nobody used yet. */
interface Service {
  readonly name: string;
  readonly pid: number;
  readonly server: Server;
  /** The body of a publish; `$` stands for the event's text. */
  readonly body: string;
  /** Bodies that publish these texts, in as few publishes as the service can. */
  bodies(texts: readonly string[]): string[];
  channel(): Promise<Channel>;
}

export async function nchan(given: Partial<Effort>): Promise<Report> {
  const effort = { ...PEERS_EFFORT, ...given };
  const version = await nchanVersion();
  return withServers(async (start) => {
    const services = [await ours(start), ...(version === undefined ? [] : [await theirs(start)])];
    const compared = await compareAll([
      ...SUBSCRIBERS.map((subscribers) => () => fanOut(services, subscribers, effort)),
      () => resuming(services, effort),
    ]);
    return {
      suite: "nchan",
      title: "Against nchan",
      ...compared,
      ...(version === undefined && { missing: `nchan is not installed (${HOW_TO_INSTALL})` }),
      notes: [
        version === undefined
          ? "nchan is not installed, so Holdfast stands alone here."
          : `${version}: one process, messages in its memory alone. A publish is acknowledged before anything is on a disk; Holdfast's is durable before it is sent.`,
        `${effort.rounds} alternating rounds of ${effort.seconds} s after a warm-up, a new channel each; events of ${PADDING} characters. perSecond is events received by all subscribers, the CPU is per event received.`,
        `${PUBLISHERS} publishes at once measure throughput, one at a time latency (from the start of a publish to its receipt). All subscribers live in the one load client, which shares the machine and bounds what nchan can show.`,
        `Resume: a client that missed ${MISSED_EVENTS} events reads them all, on a connection that has served one small request (bench/client/resume.ts says why); p50 and p99 are of one whole resumption, and so is the CPU.`,
      ],
    };
  });
}

async function ours(start: Start): Promise<Service> {
  const env = {
    LOG_MAX_EVENTS: String(KEPT_EVENTS),
    // A reader that left is noticed at the next write, so those of resumptions pile up meanwhile.
    MAX_WRITERS: "10000",
  };
  const server = await start(startHoldfast(env));
  return {
    name: OURS,
    pid: server.pid,
    server,
    body: EVENT,
    bodies(texts) {
      const events = texts.map((data) => ({ data }));
      const batches = Math.ceil(events.length / BATCH);
      return Array.from({ length: batches }, (_, n) =>
        JSON.stringify(events.slice(n * BATCH, (n + 1) * BATCH)),
      );
    },
    channel: () => newEvents(server),
  };
}

async function theirs(start: Start): Promise<Service> {
  const server = await start(startNchan(KEPT_EVENTS));
  return {
    name: "nchan",
    pid: server.pid,
    server,
    body: "$",
    bodies: (texts) => [...texts],
    channel() {
      const name = crypto.randomUUID();
      return Promise.resolve({ followPath: `/sub/${name}`, publishPath: `/pub/${name}` });
    },
  };
}

async function fanOut(
  services: readonly Service[],
  subscribers: number,
  effort: Effort,
): Promise<Compared> {
  const contenders = (publishers: number) =>
    contend(services, ({ server, body, channel }) =>
      delivering(server, { body, subscribers, publishers }, channel),
    );
  const to = subscribers === 1 ? "to 1 subscriber" : `to ${subscribers} subscribers`;
  const more = ({ perSecond }: Summary) => ({ "published /s": perSecond / subscribers });
  const throughput = {
    job: `publish ${to}`,
    measures: [rate(["≥", 0.25], "events a second")],
    more,
  };
  const latency = { job: `publish ${to}, one at a time`, measures: [p50()], more };
  return compareAll([
    () => compare(throughput, contenders(PUBLISHERS), effort),
    () => compare(latency, contenders(1), effort),
  ]);
}

async function resuming(services: readonly Service[], effort: Effort): Promise<Compared> {
  const channels = new Map<string, Awaited<ReturnType<typeof missed>>>();
  for (const service of services) channels.set(service.name, await missed(service));
  const contenders = contend(services, ({ name }) => {
    const streams = [channels.get(name)!];
    return (seconds) => resumptions({ streams, events: MISSED_EVENTS, seconds });
  });
  const measures = [rate(undefined, "events a second"), p50()];
  return compare({ job: `resume ${MISSED_EVENTS} events`, measures }, contenders, effort);
}

/** A channel with so many events after one that a client has seen, and that one's id. */
async function missed({ server, bodies, channel }: Service) {
  const { followPath, publishPath } = await channel();
  const url = server.url + followPath;
  // It stays until all is published: where nobody reads, Holdfast queues only so many.
  const stream = await fetch(url, { headers: { accept: "text/event-stream" } });
  const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
  const publish = async (texts: readonly string[]) => {
    for (const body of bodies(texts)) {
      const headers = { "content-type": "application/json" };
      const { status } = await fetch(server.url + publishPath, { method: "POST", headers, body });
      if (status >= 300) throw new Error(`publishing answered ${status}`);
    }
  };
  const text = (n: number) => `#${n} ${"x".repeat(PADDING)}`;
  await publish([text(0)]);
  let seen = "";
  while (!/data: #0.*\n[^]*\n/.test(seen)) seen += (await reader.read()).value ?? "";
  const lastEventId = [...seen.matchAll(/^id: (.*)$/gm)].at(-1)?.[1] ?? "";
  const draining = (async () => {
    while (!(await reader.read()).done);
  })();
  await publish(Array.from({ length: MISSED_EVENTS }, (_, n) => text(n + 1)));
  await reader.cancel();
  await draining;
  return { url, lastEventId };
}
