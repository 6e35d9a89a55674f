/**
 * A load of resumptions: a client that missed so many events comes back with its
 * `Last-Event-ID`, reads them all and leaves, again and again.
 */
import { Agent, get } from "node:http";
import type { Sample } from "../measure.ts";
import { sampleOf } from "./load.ts";
import { readNumbers } from "./streams.ts";

interface Stream {
  readonly url: string;
  readonly lastEventId: string;
}

export interface ResumePlan {
  /** Streams to take in turn. */
  readonly streams: readonly Stream[];
  /** How many each missed, every one with its own `data: #` line. */
  readonly events: number;
  readonly seconds: number;
}

/** A stream that has not brought them all by then will not. */
const TIMEOUT_MS = 10_000;

/**
 * Its rate is of events received, in the time that resuming took; its latencies are from the
 * request to the last event.
 */
export async function runResumptions({ streams, events, seconds }: ResumePlan): Promise<Sample> {
  const times: number[] = [];
  let errors = 0;
  let resumingMs = 0;
  const started = performance.now();
  while (performance.now() - started < seconds * 1000) {
    for (const stream of streams) {
      const agent = await usedConnection(stream.url);
      const asked = performance.now();
      const fine = agent !== undefined && (await resume(stream, events, agent));
      const took = performance.now() - asked;
      agent?.destroy();
      resumingMs += took;
      if (fine) times.push(took);
      else errors++;
    }
  }
  if (times.length === 0) throw new Error(`none of ${errors} resumptions succeeded`);
  return sampleOf(times, errors, resumingMs, events);
}

/**
 * A connection that has served one small request, whatever the answer; undefined where that
 * failed. nginx sets TCP_NODELAY on a connection only once it has kept it alive. On a fresh one
 * Nagle's algorithm may hold the last piece of an answer back until the one before is
 * acknowledged, which the client's system delays by 40 ms: in a third of nchan's resumptions in
 * some runs, in few in others, and never in workerd's, which sets the option when it accepts.
 * What is compared is the reading of a log, so neither is measured on a fresh one.
 */
function usedConnection(url: string): Promise<Agent | undefined> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return new Promise((resolve) => {
    const failed = () => {
      agent.destroy();
      resolve(undefined);
    };
    const outgoing = get(new URL("/", url).href, { agent }, (incoming) => {
      incoming.on("error", failed).resume();
      // By then the agent has it back, so that the next request takes it.
      incoming.on("end", () => setImmediate(resolve, agent));
    });
    outgoing.setTimeout(TIMEOUT_MS, () => outgoing.destroy(new Error("no answer")));
    outgoing.on("error", failed);
  });
}

/** Whether all events came, and on the connection that the agent had. */
function resume({ url, lastEventId }: Stream, events: number, agent: Agent): Promise<boolean> {
  return new Promise((resolve) => {
    const headers = { accept: "text/event-stream", "last-event-id": lastEventId };
    const outgoing = get(url, { agent, headers }, (incoming) => {
      if (!outgoing.reusedSocket) {
        resolve(false);
        return void outgoing.destroy();
      }
      let received = 0;
      incoming.on("error", () => resolve(false)).on("end", () => resolve(false));
      readNumbers(incoming, () => {
        if (++received < events) return;
        resolve(true);
        outgoing.destroy();
      });
    });
    outgoing.setTimeout(TIMEOUT_MS, () => outgoing.destroy());
    outgoing.on("error", () => resolve(false));
  });
}
