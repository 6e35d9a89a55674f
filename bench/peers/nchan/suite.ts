/** Fan-out and resuming of SSE beside nchan, an nginx module in C with its messages in memory. */
import { SseReader } from "../../../test/support/sse-reader.ts";
import {
  compare,
  compareAll,
  OURS,
  p50,
  rate,
  type Compared,
  type Measure,
} from "../../comparison.ts";
import { resumptions } from "../../load-client.ts";
import { delivering, EVENT, newEvents, PADDING, type Channel } from "../../loads.ts";
import { contend, type Effort } from "../../measure.ts";
import type { Report } from "../../report.ts";
import { startHoldfast, type Server, withServers, type Start } from "../../servers.ts";
import { PEERS_EFFORT } from "../installed.ts";
import { HOW_TO_INSTALL, nchanVersion, startNchan } from "./server.ts";

const SUBSCRIBERS = [1, 10, 100];
const PUBLISHERS = 16;
const MISSED_EVENTS = 1000;
/** Twice the missed events, so that neither side trims any. */
const KEPT_EVENTS = 2 * MISSED_EVENTS;

interface Service extends Pick<Server, "url" | "pid"> {
  readonly name: string;
  /** The body of a publish. `$` stands for the event's text. */
  readonly body: string;
  readonly channel: () => Channel | Promise<Channel>;
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
  // Holdfast notices a reader's leaving only at its next write, so readers pile up meanwhile.
  const env = { LOG_MAX_EVENTS: String(KEPT_EVENTS), MAX_WRITERS: "10000" };
  const server = await start(startHoldfast(env));
  return { name: OURS, ...server, body: EVENT, channel: () => newEvents(server) };
}

async function theirs(start: Start): Promise<Service> {
  const channel = () => {
    const name = crypto.randomUUID();
    return { followPath: `/sub/${name}`, publishPath: `/pub/${name}` };
  };
  return { name: "nchan", ...(await start(startNchan(KEPT_EVENTS))), body: "$", channel };
}

async function fanOut(services: readonly Service[], subscribers: number, effort: Effort) {
  const contenders = (publishers: number) =>
    contend(services, ({ url, body, channel }) =>
      delivering({ url }, { body, subscribers, publishers }, channel),
    );
  const to = subscribers === 1 ? "to 1 subscriber" : `to ${subscribers} subscribers`;
  const more = ({ perSecond }: { readonly perSecond: number }) => ({
    "published /s": perSecond / subscribers,
  });
  const compared = (job: string, measure: Measure, publishers: number) => () =>
    compare({ job, measures: [measure], more }, contenders(publishers), effort);
  return compareAll([
    compared(`publish ${to}`, rate(["≥", 0.25], "events a second"), PUBLISHERS),
    compared(`publish ${to}, one at a time`, p50(), 1),
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

/** A channel with the missed events, and the id of the event before them. */
async function missed({ url, body, channel }: Service) {
  const { followPath, publishPath } = await channel();
  const publish = async (n: number) => {
    const { status } = await fetch(url + publishPath, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: body.replace("$", `#${n} ${"x".repeat(PADDING)}`),
    });
    if (status >= 300) throw new Error(`publishing answered ${status}`);
  };
  // This reader stays until all is published: without readers Holdfast queues a bounded number.
  const stream = await fetch(url + followPath, { headers: { accept: "text/event-stream" } });
  const reader = new SseReader(stream.body as unknown as ReadableStream<Uint8Array>);
  await publish(0);
  const [seen] = await reader.take(1);
  const draining = reader.take(MISSED_EVENTS);
  const numbers = Array.from({ length: MISSED_EVENTS }, (_, n) => n + 1).values();
  const publisher = async () => {
    for (const n of numbers) await publish(n);
  };
  await Promise.all(Array.from({ length: PUBLISHERS }, publisher));
  await draining;
  await reader.leave();
  return { url: url + followPath, lastEventId: seen?.id ?? "" };
}
