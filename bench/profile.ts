/**
 * Where workerd's time goes under a load: `node bench/profile.ts KIND [seconds]`, of a read,
 * a create, an initialize or a call of the demo server, a call of a server behind the gateway,
 * or events published to a reader (`publish`) or to a hundred (`fan-out`).
 * Prints the functions that take the most by themselves, and keeps the whole
 * profile, for a browser's developer tools, in .holdfast/.
 */
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PROJECT } from "../scripts/bundle.ts";
import { freePort } from "../test/support/free-port.ts";
import type { RequestPlan } from "./client/requests.ts";
import { delivery, requests } from "./load-client.ts";
import type { Sample } from "./measure.ts";
import { OptionError, readSeconds } from "./options.ts";
import { callLoad, INITIALIZE_LOAD, openSessions } from "./peers/mcp-sessions.ts";
import { startProcess } from "./peers/process.ts";
import { makeSession, startVariant, withServers, type Start } from "./servers.ts";

const UPSTREAM = join(PROJECT, "bench", "peers", "gateways", "upstream.ts");
/** Microseconds between two samples. */
const INTERVAL = 200;
const TOP = 25;

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const CONNECTIONS = 16;

interface Served {
  readonly url: string;
}
/** A load that can be repeated, of so many seconds. */
type Load = (seconds: number) => Promise<Sample>;

function requesting(
  { url }: Served,
  plan: Omit<RequestPlan, "url" | "connections" | "seconds">,
): Load {
  return (time) => requests({ ...plan, url, connections: CONNECTIONS, seconds: time });
}

async function call(server: Served): Promise<Load> {
  const sessions = await openSessions(`${server.url}/mcp`, 50);
  return requesting(server, { ...callLoad(sessions), paths: ["/mcp"] });
}

function following(server: Served, subscribers: number): Load {
  return async (time) => {
    const path = `/v1/sessions/${await makeSession(server)}/events`;
    return delivery({
      url: server.url,
      followPath: path,
      publishPath: path,
      body: '{"data":"$"}',
      subscribers,
      publishers: CONNECTIONS,
      seconds: time,
      padding: 100,
    });
  };
}

const LOADS: Readonly<Record<string, (server: Served) => Load | Promise<Load>>> = {
  async read(server) {
    const ids = await Promise.all(Array.from({ length: 50 }, () => makeSession(server)));
    return requesting(server, { method: "GET", paths: ids.map((id) => `/v1/sessions/${id}`) });
  },
  create: (server) => requesting(server, { method: "POST", paths: ["/v1/sessions"], body: "{}" }),
  initialize: (server) => requesting(server, { ...INITIALIZE_LOAD, paths: ["/mcp"] }),
  call,
  gateway: call,
  publish: (server) => following(server, 1),
  "fan-out": (server) => following(server, 100),
};

const KINDS = Object.keys(LOADS).join(", ");
const USAGE = `node bench/profile.ts [KIND] [seconds]   KIND is one of ${KINDS} (read); seconds of load (5)`;

interface Asked {
  readonly kind: string;
  readonly prepare: (server: Served) => Load | Promise<Load>;
  readonly seconds: number;
}

/** Reads the arguments before anything starts. Throws an OptionError for the first that is wrong. */
function readArguments([kind = "read", seconds, ...more]: readonly string[]): Asked {
  const prepare = Object.hasOwn(LOADS, kind) ? LOADS[kind] : undefined;
  if (!prepare) throw new OptionError(`no "${kind}"; there are ${KINDS}`);
  if (more.length > 0) throw new OptionError(`nothing comes after seconds, not "${more[0]}"`);
  return { kind, prepare, seconds: readSeconds(seconds, "seconds") ?? 5 };
}

async function run({ kind, prepare, seconds }: Asked, start: Start): Promise<void> {
  const [port, upstream] = [await freePort(), await freePort()];
  const env = { LOG_LEVEL: "warn", MAX_WRITERS: "1000" };
  if (kind === "gateway") {
    await start(startProcess(process.execPath, [UPSTREAM, String(upstream)], upstream));
    const url = `http://127.0.0.1:${upstream}/mcp`;
    Object.assign(env, { UPSTREAMS: JSON.stringify({ default: { url } }) });
  }
  const worker = startVariant(
    "profile",
    { readable: true },
    {
      env,
      args: [`--inspector-addr=127.0.0.1:${port}`],
      onLine: (line) => console.error(line),
    },
  );
  const load = await prepare(await start(worker));
  await load(1);
  const inspector = await connect(port);
  await inspector.send("Profiler.enable");
  await inspector.send("Profiler.setSamplingInterval", { interval: INTERVAL });
  await inspector.send("Profiler.start");
  const { count: served, errors } = await load(seconds);
  const { profile } = (await inspector.send("Profiler.stop")) as { profile: Profile };
  inspector.close();
  if (served === 0) throw new Error(`nothing was served: ${errors} errors`);
  const path = join(PROJECT, ".holdfast", `${kind}.cpuprofile`);
  await writeFile(path, JSON.stringify(profile));
  for (const [name, micros] of heaviest(profile)) {
    console.log(`${(micros / served).toFixed(1).padStart(8)} µs each  ${name}`);
  }
  console.log(`${served} served; the whole profile is ${path}`);
}

function heaviest({ nodes, samples, timeDeltas }: Profile): [string, number][] {
  const names = new Map(
    nodes.map(({ id, callFrame: { functionName, lineNumber } }) => [
      id,
      `${functionName || "(anonymous)"}, line ${lineNumber + 1}`,
    ]),
  );
  const own = new Map<string, number>();
  samples.forEach((id, n) => {
    const name = names.get(id) ?? "(unknown)";
    own.set(name, (own.get(name) ?? 0) + (timeDeltas[n] ?? 0));
  });
  return [...own].toSorted((a, b) => b[1] - a[1]).slice(0, TOP);
}

/** Speaks the inspector's protocol to the first target, which is the Worker with its objects. */
async function connect(inspectorPort: number) {
  const targets = await (await fetch(`http://127.0.0.1:${inspectorPort}/json`)).json();
  const [{ webSocketDebuggerUrl }] = targets as [{ webSocketDebuggerUrl: string }];
  const socket = new WebSocket(webSocketDebuggerUrl);
  await once(socket, "open");
  const waiting = new Map<number, (result: unknown) => void>();
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id: number; result: unknown };
    waiting.get(id)?.(result);
  });
  return {
    send(method: string, params: object = {}): Promise<unknown> {
      const id = waiting.size + 1;
      return new Promise((resolve) => {
        waiting.set(id, resolve);
        socket.send(JSON.stringify({ id, method, params }));
      });
    },
    close: () => socket.close(),
  };
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

try {
  const args = process.argv.slice(2);
  if (args.includes("--help")) {
    console.log(USAGE);
  } else {
    const asked = readArguments(args);
    await withServers((start) => run(asked, start));
  }
} catch (failure) {
  const isOption = failure instanceof OptionError;
  console.error(isOption ? `profile: ${failure.message}\n${USAGE}` : failure);
  process.exitCode = isOption ? 2 : 1;
}
process.exit();
