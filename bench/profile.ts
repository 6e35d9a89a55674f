/**
 * Shows where workerd's time goes under a load: `node bench/profile.ts KIND [seconds]`. Prints the
 * functions that take the most by themselves, and keeps the whole profile in .holdfast/ for a
 * browser's developer tools.
 */
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import type { Profiler } from "node:inspector";
import { join } from "node:path";
import { PROJECT } from "../scripts/bundle.ts";
import { freePort } from "../test/support/free-port.ts";
import { profileUsage, readProfile, type ProfileOptions } from "./command-lines.ts";
import { envFor, LOADS } from "./loads.ts";
import { named, runCommand } from "../scripts/command-line.ts";
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
  const send = await connect(port);
  await send("Profiler.enable");
  await send("Profiler.setSamplingInterval", { interval: INTERVAL });
  await send("Profiler.start");
  const { count: served, errors } = await load(seconds);
  const { profile } = (await send("Profiler.stop")) as { profile: Profiler.Profile };
  if (served === 0) throw new Error(`nothing was served: ${errors} errors`);
  const path = join(PROJECT, ".holdfast", `${kind}.cpuprofile`);
  await writeFile(path, JSON.stringify(profile));
  for (const [name, micros] of heaviest(profile)) {
    console.log(`${(micros / served).toFixed(1).padStart(8)} µs each  ${name}`);
  }
  console.log(`${served} served; the whole profile is ${path}`);
}

function heaviest({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): [string, number][] {
  const calls = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const own = new Map<string, number>();
  for (const [n, id] of samples.entries()) {
    const { functionName = "", lineNumber = -1 } = calls.get(id) ?? {};
    const name = `${functionName || "(anonymous)"}, line ${lineNumber + 1}`;
    own.set(name, (own.get(name) ?? 0) + (timeDeltas[n] ?? 0));
  }
  return [...own].toSorted((a, b) => b[1] - a[1]).slice(0, TOP);
}

/** Speaks the inspector's protocol with the first target: the Worker with its objects. */
async function connect(inspectorPort: number) {
  const targets = await (await fetch(`http://127.0.0.1:${inspectorPort}/json`)).json();
  const [{ webSocketDebuggerUrl }] = targets as [{ webSocketDebuggerUrl: string }];
  const socket = new WebSocket(webSocketDebuggerUrl);
  await once(socket, "open");
  return async (method: string, params: object = {}): Promise<unknown> => {
    const answered = once(socket, "message") as Promise<[MessageEvent]>;
    socket.send(JSON.stringify({ id: 1, method, params }));
    const [{ data }] = await answered;
    return (JSON.parse(String(data)) as { result: unknown }).result;
  };
}

await runCommand("profile", profileUsage(LOADS), (args) => {
  const asked = readProfile(args, LOADS);
  return withServers((start) => run(asked, start));
});
