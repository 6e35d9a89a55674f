/**
 * A load of resumptions: a client that missed so many events comes back with its
 * `Last-Event-ID`, reads them all and leaves, again and again.
 */
import { get } from "node:http";
import type { Sample } from "../measure.ts";
import { quantiles } from "./load.ts";

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
const MARK = "data: #";

/** Its rate is of events received; its latencies are from the request to the last event. */
export async function runResumptions({ streams, events, seconds }: ResumePlan): Promise<Sample> {
  const times: number[] = [];
  let errors = 0;
  const started = performance.now();
  while (performance.now() - started < seconds * 1000) {
    for (const stream of streams) {
      const took = await resume(stream, events);
      if (took === undefined) errors++;
      else times.push(took);
    }
  }
  const elapsed = (performance.now() - started) / 1000;
  if (times.length === 0) throw new Error(`none of ${errors} resumptions succeeded`);
  const perSecond = (times.length * events) / elapsed;
  return { count: times.length, errors, perSecond, ...quantiles(times) };
}

/** Milliseconds that it took; undefined where it failed. */
function resume({ url, lastEventId }: Stream, events: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const started = performance.now();
    const headers = { accept: "text/event-stream", "last-event-id": lastEventId };
    const outgoing = get(url, { agent: false, headers }, (incoming) => {
      let received = 0;
      let rest = "";
      incoming.setEncoding("utf8");
      incoming.on("error", () => resolve(undefined));
      incoming.on("end", () => resolve(undefined));
      incoming.on("data", (chunk: string) => {
        rest += chunk;
        let end = 0;
        for (let at = rest.indexOf(MARK); at >= 0; at = rest.indexOf(MARK, end)) {
          received++;
          end = at + MARK.length;
        }
        // What follows the last mark may hold the beginning of the next.
        rest = rest.slice(Math.max(end, rest.length - MARK.length));
        if (received < events) return;
        resolve(performance.now() - started);
        outgoing.destroy();
      });
    });
    outgoing.setTimeout(TIMEOUT_MS, () => outgoing.destroy());
    outgoing.on("error", () => resolve(undefined));
  });
}
