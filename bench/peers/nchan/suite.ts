/** Fan-out and resuming of SSE beside nchan, an nginx module in C with its messages in memory. */
import { compareAll, p50, rate } from "../../comparison.ts";
import { CONNECTIONS, PADDING } from "../../loads.ts";
import type { Effort } from "../../measure.ts";
import type { Report } from "../../report.ts";
import { withServers, type Start } from "../../servers.ts";
import { deliveries, ours, resuming, type Service } from "../event-streams.ts";
import { PEERS_EFFORT } from "../installed.ts";
import { HOW_TO_INSTALL, nchanVersion, startNchan } from "./server.ts";

const SUBSCRIBERS = [1, 10, 100];
const MISSED_EVENTS = 1000;
/** Twice the missed events, so that neither side trims any. */
const KEPT_EVENTS = 2 * MISSED_EVENTS;

export async function nchan(given: Partial<Effort>): Promise<Report> {
  const effort = { ...PEERS_EFFORT, ...given };
  const version = await nchanVersion();
  return withServers(async (start) => {
    const services = [await ours(start, KEPT_EVENTS)];
    if (version !== undefined) services.push(await theirs(start));
    const each = rate(["≥", 0.25], "events a second");
    const fanOut = (subscribers: number) => {
      const job = `publish to ${subscribers} subscriber${subscribers === 1 ? "" : "s"}`;
      const many = { job, measure: each, subscribers, publishers: CONNECTIONS };
      const one = { job: `${job}, one at a time`, measure: p50(), subscribers, publishers: 1 };
      return [many, one].map((job) => () => deliveries(services, job, effort));
    };
    const compared = await compareAll([
      ...SUBSCRIBERS.flatMap(fanOut),
      () => resuming(services, MISSED_EVENTS, effort),
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
        `${CONNECTIONS} publishes at once measure throughput, one at a time latency (from the start of a publish to its receipt). All subscribers live in the one load client, which shares the machine and bounds what nchan can show.`,
        `Resume: a client that missed ${MISSED_EVENTS} events reads them all, on a connection that has served one small request (bench/client/resume.ts says why); p50 and p99 are of one whole resumption, and so is the CPU.`,
      ],
    };
  });
}

async function theirs(start: Start): Promise<Service> {
  const channel = () => {
    const name = crypto.randomUUID();
    return { followPath: `/sub/${name}`, publishPath: `/pub/${name}` };
  };
  return { name: "nchan", ...(await start(startNchan(KEPT_EVENTS))), body: "$", channel };
}
