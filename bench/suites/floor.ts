/** Holdfast beside the least that this runtime can do for the same job. */
import { compare, compareAll, cpu, OURS, p50, rate, type Measure } from "../comparison.ts";
import { CONNECTIONS, delivering, EVENT, newEvents, requesting } from "../loads.ts";
import { contend, type Contender, type Effort } from "../measure.ts";
import { startUpstream } from "../peers/gateways/start.ts";
import { callLoad, openSessions } from "../peers/mcp-sessions.ts";
import type { Report } from "../report.ts";
import { makeSession, startFloor, startHoldfast, type Server, withServers } from "../servers.ts";

const DEFAULT: Effort = { rounds: 4, seconds: 0.8 };
const FLOOR = "floor";
const OBJECTS = 50;

export function floor(given: Partial<Effort>): Promise<Report> {
  const effort = { ...DEFAULT, ...given };
  return withServers(async (start) => {
    const { url } = await start(startUpstream());
    const holdfast = await start(
      startHoldfast({ UPSTREAMS: JSON.stringify({ default: { url } }) }),
    );
    return against(holdfast, await start(startFloor()), url, effort);
  });
}

interface Side {
  readonly name: string;
  readonly pid: number;
  readonly server: Server;
  readonly reads: readonly string[];
  readonly create: string;
}

async function against(
  holdfast: Server,
  base: Server,
  upstream: string,
  effort: Effort,
): Promise<Report> {
  const ids = await Promise.all(Array.from({ length: OBJECTS }, () => makeSession(holdfast)));
  const side = (name: string, server: Server, read: string, create: string): Side => {
    return { name, pid: server.pid, server, reads: ids.map((id) => `${read}/${id}`), create };
  };
  const sides = [
    side(OURS, holdfast, "/v1/sessions", "/v1/sessions"),
    side(FLOOR, base, "/read", "/create"),
  ];
  const reading = (connections: number) =>
    contend(sides, ({ server, reads: paths }) =>
      requesting(server, { method: "GET", paths }, connections),
    );
  const creating = (connections: number) =>
    contend(sides, ({ server, create }) =>
      requesting(server, { method: "POST", paths: [create], body: "{}" }, connections),
    );
  /** One subscriber. `follow` and `publish` are the floor's routes. */
  const publishing = (publishers: number, follow: string, publish: string) =>
    contend(sides, ({ name, server }) =>
      delivering(server, { body: EVENT, subscribers: 1, publishers }, () => {
        if (name === OURS) return newEvents(server);
        const id = crypto.randomUUID();
        return { followPath: `/${follow}/${id}`, publishPath: `/${publish}/${id}` };
      }),
    );
  const load = callLoad(await openSessions(`${holdfast.url}/mcp`, OBJECTS));
  const asking = ids.map((id) => `/ask/${id}?url=${encodeURIComponent(upstream)}`);
  const calling = contend(sides, ({ name, server }) =>
    requesting(server, { ...load, paths: name === OURS ? ["/mcp"] : asking }),
  );
  const job = (job: string, measure: Measure, contenders: readonly Contender[]) => () =>
    compare({ job, measures: [measure] }, contenders, effort);
  // With sixteen under way, p50 repeats what the rate says. So only single jobs have it as target.
  const latency = p50(["≤", 1.15]);
  const one = "delivery, one at a time, against";
  const compared = await compareAll([
    job("read", rate(["≥", 0.85]), reading(CONNECTIONS)),
    job("read, one at a time", latency, reading(1)),
    job("create", rate(["≥", 0.7]), creating(CONNECTIONS)),
    job("create, one at a time", latency, creating(1)),
    job(
      "publish to one subscriber",
      rate(["≥", 0.8]),
      publishing(CONNECTIONS, "follow", "publish"),
    ),
    job(`${one} a stream that stores nothing`, latency, publishing(1, "stream", "emit")),
    job(`${one} one that stores`, latency, publishing(1, "follow", "publish")),
    job("gateway call", { ...cpu, target: ["≤", 1.3] }, calling),
  ]);
  return {
    suite: "floor",
    title: "Against the floor",
    ...compared,
    notes: [
      `Each pair alternates for ${effort.rounds} rounds of ${effort.seconds} s after a warm-up; ${CONNECTIONS} connections where it does not say "one at a time".`,
      `Floors: a Hono route and a no-op call to one of ${OBJECTS} objects; a new object's first row and alarm; one row and one hibernatable socket, bridged; a stream straight from an object that stores nothing; an object that asks the same MCP server and passes the text of its answer on.`,
      "Latency of delivery is from the start of a publish to its receipt. Holdfast's event is durable before it is sent; the stream straight from the object is not, and no flush to a disk fits into its time.",
    ],
  };
}
