/** One cell of the matrix: a server and a client, direct and through the gateway. */
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { RunningClient, type ClientName, type Outcome, type Seen } from "./clients.ts";
import type { RunningServer, Transport } from "./servers.ts";

/** The transport between a client and the gateway. The server behind it may have another. */
const WAYS = [
  { path: "/mcp", transport: "streamable" },
  { path: "/sse", transport: "sse" },
] as const;

/** The results of one client on one way. */
export interface Run {
  readonly seen?: Seen;
  /** A call under way when the server was killed, and how long after the restart it ended. Direct: where it is late through the gateway. */
  readonly interrupted?: Timed;
  /** The first call after the server was killed and started anew. */
  readonly again?: Timed;
  /** Why the run went no further. */
  readonly ended?: string;
}

export interface Timed {
  readonly outcome: Outcome;
  readonly ms: number;
}

export interface Cell {
  readonly server: string;
  readonly client: ClientName;
  readonly direct: Run;
  /** By the gateway's path. */
  readonly through: Readonly<Record<string, Run>>;
  /** In which the gateway is worse than direct; empty: in nothing. */
  readonly differences: readonly string[];
}

/** Milliseconds in which a call is to end that has nothing to wait for. */
const AT_ONCE_MS = 5000;
/** Milliseconds after which the server is killed under a call: the gateway streams its answer by then. */
const UNDER_WAY_MS = 600;

/** Drives the pair one way after the other: some servers take one client at a time. */
export async function drive(
  server: RunningServer,
  client: ClientName,
  gateway: string,
): Promise<Cell> {
  const { kind } = server;
  let direct = await run(server, client, server.url, kind.transport, false);
  const through: Record<string, Run> = {};
  const differences: string[] = [];
  for (const { path, transport } of WAYS) {
    // Each call of the Inspector is a client of its own, which has not begun when the server is killed.
    const interrupting = path === "/mcp" && client !== "inspector";
    const found = await run(server, client, gateway + path, transport, interrupting);
    through[path] = found;
    if (found.interrupted && isLate(found.interrupted)) {
      // So it is direct with most servers, which takes each client ten seconds: asked only where it matters.
      const { interrupted } = await run(server, client, server.url, kind.transport, true);
      direct = { ...direct, ...(interrupted && { interrupted }) };
    }
    differences.push(...worse(direct, found).map((one) => `${path}: ${one}`));
  }
  return { server: kind.name, client, direct, through, differences };
}

async function run(
  server: RunningServer,
  name: ClientName,
  url: string,
  transport: Transport,
  interrupting: boolean,
): Promise<Run> {
  const client = new RunningClient(name, url, transport, server.kind.calls);
  let found: Run = {};
  try {
    found = { seen: await client.seen };
    if (interrupting) {
      const long = client.call("long");
      // The call is awaited below, after the restart.
      long.catch(() => undefined);
      await delay(UNDER_WAY_MS);
      await server.restart();
      found = { ...found, interrupted: await timed(() => long) };
      found = { ...found, again: await timed(() => client.call("echo")) };
      if (!sameOutcome(found.again?.outcome, found.seen?.echo)) return found;
    }
    await server.restart();
    return { ...found, again: await timed(() => client.call("echo")) };
  } catch (failure) {
    // The server may be down, or hold what this client left.
    await server.restart();
    return { ...found, ended: failure instanceof Error ? failure.message : String(failure) };
  } finally {
    await client.stop();
  }
}

const isLate = ({ ms }: Timed) => ms > AT_ONCE_MS;

async function timed(call: () => Promise<Outcome>): Promise<Timed> {
  const started = performance.now();
  const outcome = await call();
  return { outcome, ms: Math.round(performance.now() - started) };
}

/** In which the gateway was worse than direct: in nothing, where the pair does not work direct either. */
export function worse(direct: Run, through: Run): string[] {
  if (!direct.seen) return [];
  if (!through.seen) return [`the client ended: ${through.ended ?? ""}`];
  const { seen, interrupted, again, ended } = through;
  const found: string[] = [];
  const differ = (what: string, left: unknown, right: unknown) =>
    found.push(`${what}: direct ${short(left)}, through the gateway ${short(right)}`);
  // The reference server adds a tool when the client has told of its roots: sooner or later.
  if (!isDeepStrictEqual(byName(seen.tools), byName(direct.seen.tools)))
    differ("tools", direct.seen.tools, seen.tools);
  for (const call of ["echo", "count", "fail"] as const) {
    if (!sameOutcome(seen[call], direct.seen[call])) differ(call, direct.seen[call], seen[call]);
  }
  // mcp-proxy, mcp-framework and mcp-remote lose the last step now and then, direct as well: it comes
  // together with the result. All steps before it must come through.
  const steps = direct.seen.progress.slice(0, -1);
  if (!steps.every((step) => seen.progress.includes(step)))
    differ("progress", direct.seen.progress, seen.progress);
  if (interrupted && !("failed" in interrupted.outcome))
    found.push(`a call that was interrupted ended with ${short(interrupted.outcome)}`);
  // The stateless revision passes as it is: its clients see the connection break, as they do direct.
  if (interrupted && isLate(interrupted) && !(direct.interrupted && isLate(direct.interrupted)))
    found.push(`a call that was interrupted ended after ${interrupted.ms} ms`);
  if (ended !== undefined) found.push(`the client ended: ${ended}`);
  if (again && !sameOutcome(again.outcome, direct.seen.echo))
    differ("after a restart", direct.seen.echo, again.outcome);
  if (again && isLate(again)) found.push(`after a restart: ${again.ms} ms`);
  return found;
}

const byName = (tools: Seen["tools"]) =>
  tools.toSorted((left, right) => left.name.localeCompare(right.name));

/** The same result, or the same words of a failure but for URLs. */
function sameOutcome(left: Outcome | undefined, right: Outcome | undefined): boolean {
  return isDeepStrictEqual(withoutUrls(left), withoutUrls(right));
}

const withoutUrls = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value ?? null).replaceAll(/https?:\/\/[^\s"\\]+/g, "URL"));

const short = (value: unknown) => (JSON.stringify(value) ?? "nothing").slice(0, 240);

/** Whether the client could go on by itself after the server had been killed. */
export function goesOn(found: Run): boolean {
  return found.again !== undefined && sameOutcome(found.again.outcome, found.seen?.echo);
}
