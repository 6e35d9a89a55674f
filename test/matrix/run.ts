/**
 * `npm run matrix` drives each server of npm with each client of npm, direct and through the
 * gateway. Both ways must show the same tools, results, progress and errors, and work at once after
 * the server was killed and started again. `npm run matrix -- NAME…` runs only the pairs with one of
 * these names; `conformance` is the conformance suite. test/matrix/results.md keeps the whole result.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { buildBundle } from "../../scripts/bundle.ts";
import { startWorkerd } from "../../scripts/workerd.ts";
import { Fixture } from "../support/mcp/fixture.ts";
import { CLIENTS, RunningClient, type ClientName } from "./clients.ts";
import { scenarios, SUITES } from "./conformance.ts";
import { install } from "./installed.ts";
import { RunningServer, SERVERS, type ServerKind } from "./servers.ts";

interface Verdict {
  readonly server: string;
  readonly client: string;
  /** Empty: the same, and usable again. */
  readonly differences: readonly string[];
}

const names = process.argv.slice(2);
const wanted = (server: ServerKind, client: ClientName) =>
  names.length === 0 ||
  names.includes(server.name) ||
  names.includes(client) ||
  names.includes(`${server.name}/${client}`);

/** How a client comes to the gateway, whatever the server behind it speaks. */
const WAYS = [
  { path: "/mcp", transport: "streamable" },
  { path: "/sse", transport: "sse" },
] as const;

/** A client of this kind ends with its call, so it has nothing that a restart could break. */
const ANEW_EACH_TIME: readonly ClientName[] = ["inspector"];

async function drive(
  server: RunningServer,
  client: ClientName,
  gateway: string,
  way: (typeof WAYS)[number],
): Promise<string[]> {
  const { kind } = server;
  const { path, transport } = way;
  const direct = new RunningClient(client, server.url, kind.transport, kind);
  // One after the other: some servers take one client at a time.
  const expected = await direct.saw().finally(() => direct.stop());
  const through = new RunningClient(client, gateway + path, transport, kind);
  try {
    const seen = withoutLateProgress(await through.saw(), expected);
    const differences = isDeepStrictEqual(withoutWords(seen), withoutWords(expected))
      ? []
      : differing(expected, seen);
    if (ANEW_EACH_TIME.includes(client)) return differences;
    await server.kill();
    await server.start();
    const echo = await through.again();
    const before = (expected as { echo?: unknown }).echo;
    if (!isDeepStrictEqual(echo, before)) {
      differences.push(`after a restart: ${JSON.stringify(echo)}`);
    }
    return differences;
  } finally {
    through.stop();
  }
}

/**
 * The last step comes together with the result, and mcp-proxy, mcp-framework and mcp-remote lose it now and
 * then, direct as well: all steps before it must come through.
 */
function withoutLateProgress(seen: unknown, expected: unknown): unknown {
  const { progress: mine = [], ...rest } = (seen ?? {}) as { progress?: unknown[] };
  const { progress: theirs = [] } = (expected ?? {}) as { progress?: unknown[] };
  const enough = theirs.slice(0, -1).every((one) => mine.includes(one));
  return { ...rest, progress: enough ? theirs : mine };
}

/** A failure's words may name the transport; that it failed is what counts. */
function withoutWords(seen: unknown): unknown {
  return JSON.parse(
    JSON.stringify(seen ?? null, (key, value: unknown) => (key === "failed" ? "failed" : value)),
  ) as unknown;
}

function differing(expected: unknown, seen: unknown): string[] {
  const [left, right] = [expected, seen] as Record<string, unknown>[];
  const keys = new Set([...Object.keys(left ?? {}), ...Object.keys(right ?? {})]);
  return [...keys].flatMap((key) => {
    const [a, b] = [left?.[key], right?.[key]];
    if (isDeepStrictEqual(withoutWords(a), withoutWords(b))) return [];
    return [`${key}: direct ${short(a)}, through the gateway ${short(b)}`];
  });
}

const short = (value: unknown) => (JSON.stringify(value) ?? "nothing").slice(0, 160);

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

async function run(kind: ServerKind, bundle: string): Promise<Verdict[]> {
  const clients = CLIENTS.filter((client) => wanted(kind, client));
  if (clients.length === 0) return [];
  const server = new RunningServer(kind, await freePort());
  const stateDir = await mkdtemp(join(tmpdir(), "holdfast-matrix-"));
  const upstream = { url: server.url, transport: kind.transport };
  const workerd = await startWorkerd({
    bundle,
    host: "127.0.0.1",
    port: 0,
    stateDir,
    env: { UPSTREAMS: JSON.stringify({ default: upstream }) },
    onLine: () => undefined,
  });
  const verdicts: Verdict[] = [];
  try {
    await server.start();
    for (const client of clients) {
      const differences: string[] = [];
      for (const way of WAYS) {
        const found = await drive(server, client, workerd.url, way);
        differences.push(...found.map((one) => `${way.path}: ${one}`));
      }
      const verdict = { server: kind.name, client, differences };
      console.log(line(verdict));
      verdicts.push(verdict);
    }
    return verdicts;
  } catch (failure) {
    const differences = [failure instanceof Error ? failure.message : String(failure)];
    const verdict = { server: kind.name, client: "all", differences };
    console.log(line(verdict));
    return [...verdicts, verdict];
  } finally {
    await server.kill();
    await workerd.stop(0);
    await rm(stateDir, { recursive: true, force: true });
  }
}

/** Each check that a complete server of ours passes direct, it must pass through the gateway. */
async function conform(bundle: string): Promise<Verdict[]> {
  const fixture = await Fixture.start();
  const stateDir = await mkdtemp(join(tmpdir(), "holdfast-matrix-"));
  const workerd = await startWorkerd({
    bundle,
    host: "127.0.0.1",
    port: 0,
    stateDir,
    env: { UPSTREAMS: JSON.stringify({ default: { url: fixture.url } }) },
    onLine: () => undefined,
  });
  // The suite wants a name of this machine.
  const named = (url: string) => url.replace("127.0.0.1", "localhost");
  const verdicts: Verdict[] = [];
  try {
    for (const suite of SUITES) {
      const direct = await scenarios(suite, named(fixture.url));
      const through = await scenarios(suite, named(`${workerd.url}/mcp`));
      const passed = Object.keys(direct).filter((name) => direct[name]);
      const lost = passed.filter((name) => !through[name]);
      const differences = lost.map((name) => `${name} passes direct and fails through the gateway`);
      if (passed.length === 0) differences.push("nothing passes direct");
      const verdict = { server: "our fixture", client: suite.name, differences };
      console.log(line(verdict));
      verdicts.push(verdict);
    }
  } finally {
    await fixture.stop();
    await workerd.stop(0);
    await rm(stateDir, { recursive: true, force: true });
  }
  return verdicts;
}

const line = ({ server, client, differences }: Verdict) =>
  `${differences.length === 0 ? "same" : "DIFFERS"}  ${server} / ${client}${differences.map((one) => `\n    ${one}`).join("")}`;

async function keep(verdicts: readonly Verdict[]): Promise<void> {
  const cell = (server: string, client: string) => {
    const one = verdicts.find((each) => each.server === server && each.client === client);
    return !one ? "" : one.differences.length === 0 ? "same" : "**differs**";
  };
  const rows = SERVERS.map(
    ({ name }) => `| ${name} | ${CLIENTS.map((client) => cell(name, client)).join(" | ")} |`,
  );
  const table = [
    `| server | ${CLIENTS.join(" | ")} |`,
    `|---|${CLIENTS.map(() => "---").join("|")}|`,
    ...rows,
  ];
  const suites = SUITES.map(({ name }) => {
    const one = verdicts.find(({ client }) => client === name);
    return `- ${name}: ${one?.differences.length === 0 ? "all that pass direct pass" : "**differs**"}`;
  });
  const details = verdicts
    .filter(({ differences }) => differences.length > 0)
    .map((one) => `    ${line(one).replaceAll("\n", "\n    ")}`);
  const head =
    "# Real servers and clients through the gateway\n\nMade by `npm run matrix`: each pair direct and through the gateway; the versions are in package.json.";
  await writeFile(
    join(import.meta.dirname, "results.md"),
    `${[head, table.join("\n"), suites.join("\n"), ...details].join("\n\n")}\n`,
  );
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
await install();
const { path } = await buildBundle();
const verdicts: Verdict[] = [];
for (const kind of SERVERS) verdicts.push(...(await run(kind, path)));
if (names.length === 0 || names.includes("conformance")) verdicts.push(...(await conform(path)));
if (names.length === 0) await keep(verdicts);
const different = verdicts.filter(({ differences }) => differences.length > 0).length;
console.log(`${verdicts.length - different} of ${verdicts.length} pairs are the same`);
process.exit(different === 0 ? 0 : 1);
