/**
 * Where workerd's time goes under a load: `node bench/profile.ts KIND [seconds]`, of a read,
 * a create, an initialize or a call of the demo server, a call of a server behind the gateway,
 * or events published to a reader (`publish`) or to a hundred (`fan-out`).
 * Prints the functions that take the most by themselves, and keeps the whole
 * profile, for a browser's developer tools, in .holdfast/.
 */
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import type { Profiler } from "node:inspector";
import { join } from "node:path";
import { PROJECT } from "../scripts/bundle.ts";
import { freePort } from "../test/support/free-port.ts";
import { profileUsage, readProfile, type ProfileOptions } from "./command-lines.ts";
import { envFor, LOADS } from "./loads.ts";
import { named, runCommand } from "./options.ts";
import { startVariant, withServers, type Start } from "./servers.ts";

/** Microseconds between two samples. */
const INTERVAL = 200;
const TOP = 25;

async function run({ kind, seconds }: ProfileOptions, start: Start): Promise<void> {
  const port = await freePort();
  const worker = startVariant(
    "profile",
    { readable: true },
    {
      env: { LOG_LEVEL: "warn", ...(await envFor(kind, start)) },
      args: [`--inspector-addr=127.0.0.1:${port}`],
      onLine: (line) => console.error(line),
    },
  );
  const load = await named("kind", kind, LOADS)(await start(worker));
  await load(1);
  const inspector = await connect(port);
  await inspector.send("Profiler.enable");
  await inspector.send("Profiler.setSamplingInterval", { interval: INTERVAL });
  await inspector.send("Profiler.start");
  const { count: served, errors } = await load(seconds);
  const { profile } = (await inspector.send("Profiler.stop")) as { profile: Profiler.Profile };
  inspector.close();
  if (served === 0) throw new Error(`nothing was served: ${errors} errors`);
  const path = join(PROJECT, ".holdfast", `${kind}.cpuprofile`);
  await writeFile(path, JSON.stringify(profile));
  for (const [name, micros] of heaviest(profile)) {
    console.log(`${(micros / served).toFixed(1).padStart(8)} µs each  ${name}`);
  }
  console.log(`${served} served; the whole profile is ${path}`);
}

function heaviest({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): [string, number][] {
  const names = new Map(
    nodes.map(({ id, callFrame: { functionName, lineNumber } }) => {
      return [id, `${functionName || "(anonymous)"}, line ${lineNumber + 1}`];
    }),
  );
  const own = new Map<string, number>();
  for (const [n, id] of samples.entries()) {
    const name = names.get(id) ?? "(unknown)";
    own.set(name, (own.get(name) ?? 0) + (timeDeltas[n] ?? 0));
  }
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

await runCommand("profile", profileUsage(LOADS), (args) => {
  const asked = readProfile(args, LOADS);
  return withServers((start) => run(asked, start));
});
