/** Every metric of the service. docs/operations.md says what each means, and what to do about it. */
import { Counter, Gauge, Histogram, type Metric } from "./metric.ts";

export const requests = new Counter(
  "holdfast_requests_total",
  "Requests answered, by method and pattern of the route, and by status.",
  ["route", "status"],
);

/** Answers of these statuses count. */
export const REFUSING: ReadonlySet<number> = new Set([401, 403, 429, 503]);

export const refused = new Counter(
  "holdfast_refused_total",
  "Requests answered with 401, 403, 429 or 503, by the reason.",
  ["status", "reason"],
  [["503", "message_channel_full"]],
);

export const published = new Counter(
  "holdfast_events_published_total",
  "Events stored in the sessions' streams.",
);

export const delivered = new Counter(
  "holdfast_events_delivered_total",
  "Events sent to readers of streams: each event counts once for each reader.",
);

export const streamsOpen = new Gauge("holdfast_streams_open", "Streams that are open to clients.");

export const streamsOpened = new Counter(
  "holdfast_streams_opened_total",
  "Streams opened to clients.",
);

export const readersCut = new Counter(
  "holdfast_readers_cut_total",
  "Readers cut off: slow ones have too much waiting, stalled ones take nothing.",
  ["reason"],
  [["slow"], ["stalled"]],
);

export const sessions = new Gauge(
  "holdfast_sessions",
  "Sessions that the directory lists, by type.",
  ["type"],
);

export const sessionsEnded = new Counter(
  "holdfast_sessions_ended_total",
  "Sessions ended, by the reason.",
  ["reason"],
  [["deleted"], ["expired"]],
);

export const objectsAwake = new Gauge(
  "holdfast_objects_awake",
  "Sessions whose object was used in the last ten seconds or is at work.",
);

export const exchangesOpen = new Gauge(
  "holdfast_exchanges_open",
  "Exchanges of MCP clients with their upstreams that are under way.",
);

export const directoryUntold = new Counter(
  "holdfast_directory_untold_total",
  "Tries to tell the directory of a session that failed; each is repeated.",
);

export const upstreamRequests = new Counter(
  "holdfast_upstream_requests_total",
  "Requests sent to MCP servers behind the gateway, by the upstream's name and how its answer began.",
  ["upstream", "outcome"],
);

export const upstreamFailures = new Counter(
  "holdfast_upstream_failures_total",
  "Calls that an upstream did not answer usably, by its name and the kind of failure.",
  ["upstream", "kind"],
);

export const upstreamSeconds = new Histogram(
  "holdfast_upstream_seconds",
  "Seconds until an upstream's answer began.",
  [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
);

export const ready = new Gauge("holdfast_ready", "1 if a check of /readyz passes, 0 if it fails.", [
  "check",
]);

/** In the order in which they are shown. */
export const METRICS: readonly Metric[] = [
  requests,
  refused,
  published,
  delivered,
  streamsOpen,
  streamsOpened,
  readersCut,
  sessions,
  sessionsEnded,
  objectsAwake,
  exchangesOpen,
  directoryUntold,
  upstreamRequests,
  upstreamFailures,
  upstreamSeconds,
  ready,
];

/** Counts a stream as open. Returns what ends that; a second call of it does nothing. */
export function countStream(): () => void {
  streamsOpened.add(1);
  streamsOpen.change(1);
  let isOpen = true;
  return () => {
    if (isOpen) streamsOpen.change(-1);
    isOpen = false;
  };
}
