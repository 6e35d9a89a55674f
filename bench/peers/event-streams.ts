/** Services that publish and follow events, and the loads that they share. */
import { SseReader } from "../../test/support/sse-reader.ts";
import {
  compare,
  OURS,
  p50,
  rate,
  type Compared,
  type Measure,
  type Target,
} from "../comparison.ts";
import { resumptions } from "../load-client.ts";
import { CONNECTIONS, delivering, EVENT, newEvents, PADDING, type Channel } from "../loads.ts";
import { contend, type Effort } from "../measure.ts";
import { startHoldfast, type Server, type Start } from "../servers.ts";

export interface Service extends Pick<Server, "url" | "pid"> {
  readonly name: string;
  /** The body of a publish. `$` stands for the event's text. */
  readonly body: string;
  /** A new stream. */
  readonly channel: () => Channel | Promise<Channel>;
}

/** Holdfast, which retains so many events of a session. */
export async function ours(start: Start, retained: number): Promise<Service> {
  // Holdfast notices a reader's leaving only at its next write, so readers pile up meanwhile.
  const env = { LOG_MAX_EVENTS: String(retained), MAX_WRITERS: "10000" };
  const server = await start(startHoldfast(env));
  return { name: OURS, ...server, body: EVENT, channel: () => newEvents(server) };
}

interface Job {
  readonly job: string;
  readonly measure: Measure;
  readonly subscribers: number;
  readonly publishers: number;
}

/** Publishes to a new stream in each run, which so many follow. */
export function deliveries(services: readonly Service[], job: Job, effort: Effort) {
  const { subscribers, publishers } = job;
  const contenders = contend(services, ({ url, body, channel }) =>
    delivering({ url }, { body, subscribers, publishers }, channel),
  );
  const more = ({ perSecond }: { readonly perSecond: number }) => ({
    "published /s": perSecond / subscribers,
  });
  return compare({ job: job.job, measures: [job.measure], more }, contenders, effort);
}

/** Clients that missed so many events of one stream read them all. */
export async function resuming(
  services: readonly Service[],
  events: number,
  effort: Effort,
  target?: Target,
): Promise<Compared> {
  const streams = new Map<string, Awaited<ReturnType<typeof missed>>>();
  for (const service of services) streams.set(service.name, await missed(service, events));
  const contenders = contend(services, ({ name }) => {
    const plan = { streams: [streams.get(name)!], events };
    return (seconds) => resumptions({ ...plan, seconds });
  });
  const measures = [rate(target, "events a second"), p50()];
  return compare({ job: `resume ${events} events`, measures }, contenders, effort);
}

/** A stream with the missed events, and the id of the event before them. */
async function missed({ url, body, channel }: Service, events: number) {
  const { followPath, publishPath, resumePath } = await channel();
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
  const draining = reader.take(events);
  const numbers = Array.from({ length: events }, (_, n) => n + 1).values();
  const publisher = async () => {
    for (const n of numbers) await publish(n);
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, publisher));
  await draining;
  await reader.leave();
  return { url: url + (resumePath ?? followPath), lastEventId: seen?.id ?? "" };
}
