/** Events beside the reference server of Durable Streams, which stores before it answers, too. */
import { join } from "node:path";
import { compare, compareAll, p50, rate, type Measure } from "../../comparison.ts";
import { CONNECTIONS, PADDING, requesting } from "../../loads.ts";
import { contend, type Effort } from "../../measure.ts";
import type { Report } from "../../report.ts";
import { makeFolder, makeSession, withServers, type Start } from "../../servers.ts";
import { deliveries, ours, resuming, type Service } from "../event-streams.ts";
import { installPeers, PEERS_EFFORT, peerVersion } from "../installed.ts";
import { startProcess } from "../process.ts";

const MISSED_EVENTS = 10_000;
const SERVER = join(import.meta.dirname, "server.js");

/** `appendPath` makes a stream that nobody reads, and returns where to append to it. */
type Both = Service & { readonly appendPath: () => Promise<string> };

export async function durableStreams(given: Partial<Effort>): Promise<Report> {
  const effort = { ...PEERS_EFFORT, ...given };
  await installPeers();
  return withServers(async (start) => {
    const holdfast = await ours(start, 2 * MISSED_EVENTS);
    const appendPath = async () =>
      `/v1/sessions/${await makeSession(holdfast, { overflow: "trim" })}/events`;
    const services = [{ ...holdfast, appendPath }, await theirs(start)];
    const appending = (job: string, measures: readonly Measure[], writers: number) => () => {
      const contenders = contend(services, ({ url, body, appendPath }) => async (seconds) => {
        const plan = { method: "POST", body: body.replace("$", "x".repeat(PADDING)) };
        return requesting({ url }, { ...plan, paths: [await appendPath()] }, writers)(seconds);
      });
      return compare({ job, measures }, contenders, effort);
    };
    const live = (job: string, measure: Measure, publishers: number) => () =>
      deliveries(services, { job, measure, subscribers: 1, publishers }, effort);
    const compared = await compareAll([
      appending("append, one writer", [rate(["≥", 1]), p50()], 1),
      appending(`append, ${CONNECTIONS} writers`, [rate(["≥", 1]), p50()], CONNECTIONS),
      live("live delivery to one reader, one at a time", p50(["≤", 1]), 1),
      live(`live delivery, ${CONNECTIONS} writers`, rate(["≥", 1], "events a second"), CONNECTIONS),
      () => resuming(services, MISSED_EVENTS, effort, ["≥", 1]),
    ]);
    return {
      suite: "durable-streams",
      title: "Against the reference server of Durable Streams",
      ...compared,
      notes: [
        `@durable-streams/server ${await peerVersion("@durable-streams/server")} under Node, with its file store: it appends to the stream's file, calls fdatasync, and updates LMDB before it answers. Holdfast commits to SQLite before it answers. Both keep every event through a \`kill -9\`.`,
        `${effort.rounds} alternating rounds of ${effort.seconds} s after a warm-up, a new stream each; JSON messages of ${PADDING} characters. All writers append to the same stream.`,
        "Delivery is over SSE from the start of an append to its receipt. Its server reads the new messages from their file for each reader; Holdfast passes them on.",
        `Resume: a client that missed ${MISSED_EVENTS} events reads them all over SSE; p50 and p99 are of one whole resumption, and so is the CPU. Its server reads the whole file at once; Holdfast reads pages, so that memory stays bounded.`,
      ],
    };
  });
}

async function theirs(start: Start): Promise<Both> {
  const folder = makeFolder("durable-streams");
  const server = await start(
    startProcess(process.execPath, (port) => [SERVER, String(port), folder]),
  );
  const appendPath = async () => {
    const path = `/${crypto.randomUUID()}`;
    const headers = { "content-type": "application/json" };
    const { status } = await fetch(server.url + path, { method: "PUT", headers });
    if (status !== 201) throw new Error(`making a stream answered ${status}`);
    return path;
  };
  const channel = async () => {
    const path = await appendPath();
    const from = (offset: string) => `${path}?offset=${offset}&live=sse`;
    return { publishPath: path, followPath: from("now"), resumePath: from("-1") };
  };
  return { name: "durable-streams", ...server, body: '"$"', channel, appendPath };
}
