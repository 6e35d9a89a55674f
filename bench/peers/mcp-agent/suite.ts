/** Holdfast's demo server beside the same tools in an McpAgent. Both keep an object per session. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Claim, Report, Row } from "../../report.ts";
import {
  columns,
  MCP_OPERATIONS,
  measure,
  price,
  priceOfMemory,
  silentHour,
  startCounting,
} from "../../suites/cost.ts";
import { openStream } from "../../client/streams.ts";
import {
  together,
  claim,
  compare,
  compareAll,
  OURS,
  rate,
  type Compared,
  type Target,
} from "../../comparison.ts";
import { CONNECTIONS, requesting } from "../../loads.ts";
import { contend, progress, type Effort, residentKiB } from "../../measure.ts";
import {
  EVICTION_S,
  memoryFolder,
  startFloor,
  startHoldfast,
  startWorker,
  untilEvicted,
  type Server,
  withServers,
  type Start,
} from "../../servers.ts";
import { installPeers, PEERS_EFFORT, peerVersion } from "../installed.ts";
import {
  callLoad,
  INITIALIZE_LOAD,
  openSessions,
  requestOf,
  sessionHeaders,
} from "../mcp-sessions.ts";

const SESSIONS = 50;
/** Of the memory measurement. The warm-up keeps code and first heap growth out of it. */
const HELD_SESSIONS = 500;
const WARM_UP_SESSIONS = 100;

const CONFIG = join(import.meta.dirname, "wrangler.toml");
const COUNTING_CONFIG = join(import.meta.dirname, "counting", "wrangler.toml");
const PEER = "McpAgent";
const BARE_OBJECT = "a bare object";

type Named = Pick<Server, "url" | "pid"> & { readonly name: string };

export async function mcpAgent(given: Partial<Effort>): Promise<Report> {
  const effort = { ...PEERS_EFFORT, ...given };
  await installPeers();
  const folder = await memoryFolder();
  const compared = await compareAll([() => throughput(effort), asked, () => memory(folder)]);
  const agents = await peerVersion("agents");
  const sdk = await peerVersion("@modelcontextprotocol/sdk");
  return {
    suite: "mcp-agent",
    title: "Against McpAgent",
    ...compared,
    notes: [
      `agents ${agents} (\`McpAgent.serve("/mcp")\`, with the SDK ${sdk} that it asks for), bundled and run as Holdfast is: plain workerd, Durable Objects on disk, the tools of the demo server.`,
      `${effort.rounds} alternating rounds of ${effort.seconds} s after a warm-up, ${CONNECTIONS} connections; calls of \`echo\` go to ${SESSIONS} sessions in turn.`,
      "Alone: one operation at a time, of a server whose objects are counted by one wrapper for both (bench/counting/objects.ts); prices as in the suite `cost`, with the time in memory: from the first work to the last and 10 s after it, as if the object came alone. A count that is 0 on both sides is left out. A silent hour: a session with its stream (GET) open; of Holdfast's, TTLs of 2 s are counted and taken as TTLs of two hours, as in the suite `cost`; of McpAgent's, 35 s. Resumed: a call of 400 ms, which the client leaves in the middle and comes back to when it is over. McpAgent forgets a call's messages when the call ends, so that result is lost there; a client that comes back before then gets it.",
      `Memory, with storage in ${folder}: what ${HELD_SESSIONS} sessions that are opened and called once add to the resident set of workerd, which ${WARM_UP_SESSIONS} have warmed up: at once; what as many more add once ${EVICTION_S} s of silence have passed after both; and what all take together, for each of the second half, when those have a stream (GET) open. "A bare object" is the floor's, with one row and an alarm: what workerd and its SQLite take for any object.`,
    ],
  };
}

async function both(start: Start, folder: string): Promise<Named[]> {
  return [
    { name: OURS, ...(await start(startHoldfast({}, folder))) },
    { name: PEER, ...(await start(startWorker("mcp-agent", CONFIG, { folder }))) },
  ];
}

function throughput(effort: Effort): Promise<Compared> {
  return withServers(async (start) => {
    const servers = await both(start, tmpdir());
    const paths = ["/mcp"];
    const sessions = new Map<Named, string[]>();
    for (const one of servers) sessions.set(one, await openSessions(`${one.url}/mcp`, SESSIONS));
    const initializes = contend(servers, (of) => requesting(of, { ...INITIALIZE_LOAD, paths }));
    const calls = contend(servers, (of) =>
      requesting(of, { ...callLoad(sessions.get(of) ?? []), paths }),
    );
    return compareAll([
      () => compare({ job: "initialize", measures: [rate(["≥", 3])] }, initializes, effort),
      () => compare({ job: "tools/call", measures: [rate(["≥", 5])] }, calls, effort),
    ]);
  });
}

/** Counts single operations, and times them; then an hour of silence. */
function asked(): Promise<Compared> {
  return withServers(async (start) => {
    const ours = await start(startCounting());
    const theirs = await start(startWorker("mcp-agent-counting", COUNTING_CONFIG));
    const operations = MCP_OPERATIONS.map((one) => async () => {
      // A result that never comes is lost.
      const peer = await measure(theirs, one).catch(() => undefined);
      return costs(`${one.name}, alone`, await measure(ours, one), peer);
    });
    const silence = async () => costs("MCP, a silent hour", ...(await silentHour(ours, theirs)));
    return compareAll([...operations, silence]);
  });
}

type Counted = Parameters<typeof columns>[0] & { readonly ms?: number };

function costs(job: string, ours: Counted, theirs: Counted | undefined): Compared {
  const figures = ({ ms, ...tally }: Counted) => {
    const counts = columns(tally);
    const dollars = price(tally) + priceOfMemory(counts["seconds in memory"]);
    return { ...(ms !== undefined && { ms }), ...counts, "$ per million": 1e6 * dollars };
  };
  const rows = [{ job, server: OURS, ...figures(ours) }];
  if (!theirs) return { rows: [...rows, { job, server: PEER, lost: true }] as Row[], claims: [] };
  const peer = figures(theirs);
  const claims = Object.entries(figures(ours)).map(([unit, figure]) => {
    const its = peer[unit as keyof typeof peer] ?? NaN;
    return claim({ what: `${job}, ${unit}`, other: PEER, ours: [figure], theirs: [its] });
  });
  const isAsked = ({ holdfast, its }: Claim) => holdfast > 0 || its > 0;
  return { rows: [...rows, { job, server: PEER, ...peer }], claims: claims.filter(isAsked) };
}

/** All servers hold their sessions at the same time, so that these are silent equally long. */
function memory(folder: string): Promise<Compared> {
  return withServers(async (start) => {
    const bare = await start(startFloor(folder));
    return hold([...(await both(start, folder)), { name: BARE_OBJECT, ...bare }]);
  });
}

const FIFTH: Target = ["≤", 0.2];

/** KiB of a process or of a session, by the name of the server. */
type Held = Map<string, number>;

async function hold(servers: readonly Named[]): Promise<Compared> {
  process.stderr.write(`memory of ${HELD_SESSIONS} sessions\n`);
  const [justCalled, silent, streaming]: [Held, Held, Held] = [new Map(), new Map(), new Map()];
  const [warm, marked]: [Held, Held] = [new Map(), new Map()];
  const sessions = new Map<string, string[]>();
  const grown = async ({ name, pid }: Named, since: Held) =>
    ((await residentKiB(pid)) - (since.get(name) ?? NaN)) / HELD_SESSIONS;
  const mark = async ({ name, pid }: Named, held: Held) => held.set(name, await residentKiB(pid));
  const open = async ({ name, url }: Named, count: number) => {
    sessions.set(name, await (name === BARE_OBJECT ? makeBareObjects : openAndCall)(url, count));
    progress(`${name} holds ${count} sessions more`);
  };
  for (const one of servers) {
    await open(one, WARM_UP_SESSIONS);
    await mark(one, warm);
    await open(one, HELD_SESSIONS);
    justCalled.set(one.name, await grown(one, warm));
  }
  await untilEvicted();
  for (const one of servers) {
    await mark(one, marked);
    await open(one, HELD_SESSIONS);
  }
  await untilEvicted();
  for (const one of servers) {
    silent.set(one.name, await grown(one, marked));
    if (one.name === BARE_OBJECT) continue;
    const following = (sessions.get(one.name) ?? []).map((id) =>
      openStream(`${one.url}/mcp`, sessionHeaders(id)),
    );
    const streams = (await Promise.all(following)).map((stream) => stream.resume());
    streaming.set(one.name, await grown(one, warm));
    for (const stream of streams) stream.destroy();
  }
  return together([
    memoryOf("memory of a session just called", justCalled, FIFTH),
    memoryOf("memory of a silent session", silent, FIFTH),
    memoryOf("memory of a session with a stream, and of one without", streaming),
  ]);
}

function memoryOf(job: string, held: Held, target?: Target): Compared {
  const figures = (name: string) => [held.get(name) ?? NaN];
  const evidence = { what: `${job}, KiB`, ours: figures(OURS), theirs: figures(PEER), target };
  return {
    rows: [...held].map(([server, each]) => ({ job, server, "KiB each": each })),
    claims: [claim({ ...evidence, other: PEER })],
  };
}

/** Makes objects with one row and an alarm. They have no sessions to follow. */
async function makeBareObjects(url: string, count: number): Promise<string[]> {
  for (let n = 0; n < count; n++) {
    const { status } = await fetch(`${url}/create`, { method: "POST", body: "{}" });
    if (status !== 201) throw new Error(`a bare object answered ${status}`);
  }
  return [];
}

async function openAndCall(url: string, count: number): Promise<string[]> {
  const sessions = await openSessions(`${url}/mcp`, count);
  for (const session of sessions) {
    const answer = await fetch(`${url}/mcp`, requestOf(callLoad([session])));
    if ((await answer.text()).includes('"content"')) continue;
    throw new Error(`a call answered ${answer.status}`);
  }
  return sessions;
}
