/**
 * A load of resumptions: a client reconnects with its `Last-Event-ID`, reads all events that it
 * missed, leaves, and repeats this.
 */
import { Agent, get } from "node:http";
import type { Sample } from "../measure.ts";
import { sampleOf } from "./load.ts";
import { readNumbers } from "./streams.ts";

type Stream = { readonly url: string; readonly lastEventId: string };

export interface ResumePlan {
  readonly streams: readonly Stream[];
  /** Events that a client missed on each stream. */
  readonly events: number;
  readonly seconds: number;
}

/** A stream that is silent for so long fails. */
const TIMEOUT_MS = 10_000;

/** The rate counts received events in the time of resuming. A latency ends with the last event. */
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
 * A connection that has served one small request; undefined if that request fails. nginx sets
 * TCP_NODELAY only on a connection that it has kept alive. On a fresh one Nagle's algorithm can
 * hold back the last piece of an answer until the client's system acknowledges the piece before,
 * 40 ms later: in a third of nchan's resumptions in some runs, in few in others, and never in
 * workerd's, which sets the option when it accepts. The suite compares the reading of a log.
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
      // The agent has the connection back by then, so the next request takes it.
      incoming.on("end", () => setImmediate(resolve, agent));
    });
    outgoing.setTimeout(TIMEOUT_MS, () => outgoing.destroy(new Error("no answer")));
    outgoing.on("error", failed);
  });
}

/** Whether all events came on the connection that the agent had. */
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
