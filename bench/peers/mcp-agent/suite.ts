/** Holdfast's demo server, in its Worker, against the same tools in an McpAgent: both keep an object per session. */
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { progress, requests, type Effort } from "../../measure.ts";
import type { Report, Row } from "../../report.ts";
import { startFloor, startHoldfast, startWorker, type Server } from "../../servers.ts";
import { compare, OURS, PEERS_EFFORT, residentKiB, type Peer } from "../compare.ts";
import { installPeers, peerVersion } from "../installed.ts";
import { callLoad, INITIALIZE_LOAD, openSessions, sessionHeaders } from "../mcp-sessions.ts";

const CONNECTIONS = 16;
const SESSIONS = 50;
/** Of the memory measurement. Warm-up ones make the code and the heap's first growth no session's. */
const HELD_SESSIONS = 500;
const WARM_UP_SESSIONS = 100;
/** workerd puts an object out of memory some 10 s after its last work. */
const UNTIL_EVICTED_MS = 15_000;

const PEER = "McpAgent";
const BARE_OBJECT = "a bare object";

interface Named {
  readonly name: string;
  readonly server: Server;
}

export async function mcpAgent({ rounds, seconds }: Effort = PEERS_EFFORT): Promise<Report> {
  await installPeers();
  const rows = [...(await throughput(rounds, seconds)), ...(await memory())];
  const [agents, sdk] = [
    await peerVersion("agents"),
    await peerVersion("@modelcontextprotocol/sdk"),
  ];
  return {
    suite: "mcp-agent",
    title: "Against McpAgent",
    rows,
    notes: [
      `agents ${agents} (\`McpAgent.serve("/mcp")\`, with the SDK ${sdk} that it asks for), bundled and run as Holdfast is: plain workerd, Durable Objects on disk, the tools of the demo server.`,
      `${rounds} alternating rounds of ${seconds} s after a warm-up, ${CONNECTIONS} connections; calls of \`echo\` go to ${SESSIONS} sessions in turn.`,
      `Memory: resident set of workerd over what it was after ${WARM_UP_SESSIONS} sessions, per session of ${HELD_SESSIONS} that were opened and called once; at once, after ${UNTIL_EVICTED_MS / 1000} s of silence, and with a stream (GET) open in each. "A bare object" is the floor's, with one row and an alarm: what workerd and its SQLite take for any object.`,
    ],
  };
}

async function both<Result>(run: (servers: readonly Named[]) => Promise<Result>): Promise<Result> {
  const servers = [
    { name: OURS, server: await startHoldfast() },
    {
      name: PEER,
      server: await startWorker("mcp-agent", join(import.meta.dirname, "wrangler.toml")),
    },
  ];
  try {
    return await run(servers);
  } finally {
    await Promise.all(servers.map(({ server }) => server.stop()));
  }
}

function throughput(rounds: number, seconds: number): Promise<Row[]> {
  return both(async (servers) => {
    const plan = { paths: ["/mcp"], connections: CONNECTIONS, seconds };
    const peer = (load: (of: Named) => object) => (of: Named) => ({
      name: of.name,
      pid: of.server.pid,
      run: async () => {
        const result = await requests({
          ...plan,
          ...INITIALIZE_LOAD,
          ...load(of),
          url: of.server.url,
        });
        return { ...result, count: result.requests };
      },
    });
    const sessions = new Map<string, string[]>();
    for (const { name, server } of servers)
      sessions.set(name, await openSessions(`${server.url}/mcp`, SESSIONS));
    const initializes: Peer[] = servers.map(peer(() => ({})));
    const calls: Peer[] = servers.map(peer(({ name }) => callLoad(sessions.get(name) ?? [])));
    return [
      ...(await compare({ job: "initialize", target: 3 }, initializes, rounds)),
      ...(await compare({ job: "tools/call", target: 5 }, calls, rounds)),
    ];
  });
}

/**
 * All hold their sessions in the same stretch of time, so that they are silent for as
 * long. Beside the two, what workerd takes for an object that does nothing.
 */
async function memory(): Promise<Row[]> {
  const bare = await startFloor();
  try {
    return await both((servers) => hold(servers, bare));
  } finally {
    await bare.stop();
  }
}

async function hold(servers: readonly Named[], bare: Server): Promise<Row[]> {
  process.stderr.write(`memory of ${HELD_SESSIONS} sessions\n`);
  const held = [];
  for (const { name, server } of [...servers, { name: BARE_OBJECT, server: bare }]) {
    const open = name === BARE_OBJECT ? makeBareObjects : openAndCall;
    await open(server, WARM_UP_SESSIONS);
    const before = await residentKiB(server.pid);
    const sessions = await open(server, HELD_SESSIONS);
    const each = async () => ((await residentKiB(server.pid)) - before) / HELD_SESSIONS;
    held.push({ name, server, sessions, each, called: await each() });
    progress(`${name} holds ${HELD_SESSIONS} sessions`);
  }
  progress(`silence of ${UNTIL_EVICTED_MS / 1000} s`);
  await delay(UNTIL_EVICTED_MS);
  const called: Held[] = [];
  const silent: Held[] = [];
  const streaming: Held[] = [];
  for (const one of held) {
    called.push({ name: one.name, each: one.called });
    silent.push({ name: one.name, each: await one.each() });
    if (one.sessions.length === 0) continue;
    const streams = await Promise.all(one.sessions.map((id) => follow(one.server, id)));
    streaming.push({ name: one.name, each: await one.each() });
    for (const stream of streams) stream.destroy();
  }
  return [
    ...memoryRows("memory per session, just called", called),
    ...memoryRows("memory per session, silent", silent),
    ...memoryRows("memory per session, a stream open in each", streaming),
  ];
}

interface Held {
  readonly name: string;
  /** KiB of each session. */
  readonly each: number;
}

function memoryRows(job: string, held: readonly Held[]): Row[] {
  const ours = held.find(({ name }) => name === OURS)?.each ?? NaN;
  return held.map(({ name, each }) => ({
    job,
    server: name,
    "KiB each": each,
    ...(name !== OURS && { "Holdfast ÷ it": ours / each }),
    ...(name === PEER && { target: 0.2 }),
  }));
}

/** Objects with one row and an alarm each. They have no sessions that could be followed. */
async function makeBareObjects(server: Server, count: number): Promise<string[]> {
  for (let n = 0; n < count; n++) {
    const { status } = await fetch(`${server.url}/create`, { method: "POST", body: "{}" });
    if (status !== 201) throw new Error(`a bare object answered ${status}`);
  }
  return [];
}

async function openAndCall(server: Server, count: number): Promise<string[]> {
  const sessions = await openSessions(`${server.url}/mcp`, count);
  const { body = "", method, headersInTurn = [] } = callLoad(sessions);
  for (const headers of headersInTurn) {
    const answer = await fetch(`${server.url}/mcp`, {
      method,
      headers: { ...headers, "content-type": "application/json" },
      body: body.replace("$n", "1"),
    });
    if (!(await answer.text()).includes('"content"'))
      throw new Error(`a call answered ${answer.status}`);
  }
  return sessions;
}

function follow(server: Server, session: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { ...sessionHeaders(session), accept: "text/event-stream" };
    get(`${server.url}/mcp`, { agent: false, headers }, (incoming) => {
      incoming.on("error", () => {});
      incoming.resume();
      if (incoming.statusCode === 200) resolve(incoming);
      else reject(new Error(`following answered ${incoming.statusCode}`));
    }).on("error", reject);
  });
}
