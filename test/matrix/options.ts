/** The command line of `npm run matrix`. */
import { named, OptionError, parseOptions, readNumber } from "../../scripts/command-line.ts";
import { CLIENTS, type ClientName } from "./clients.ts";
import { SERVERS, type ServerKind } from "./servers.ts";

export interface MatrixOptions {
  readonly servers: readonly ServerKind[];
  readonly clients: readonly ClientName[];
  readonly conformance: boolean;
  /** Servers that are driven at the same time, each by one client. */
  readonly lanes: number;
  /** Whether everything runs, so that the result is kept. */
  readonly whole: boolean;
}

export const USAGE = `npm run matrix -- [options]
  --server NAME,…    these servers alone: ${SERVERS.map(({ name }) => name).join(", ")}
  --client NAME,…    these clients alone: ${CLIENTS.join(", ")}
  --conformance      the conformance suite alone
  --lanes N          servers at the same time, each with one client (2)`;

const OPTIONS = {
  server: { type: "string" },
  client: { type: "string" },
  conformance: { type: "boolean" },
  lanes: { type: "string" },
} as const;

/** Throws an OptionError for the first argument that is wrong. */
export function readOptions(args: readonly string[]): MatrixOptions {
  const { values } = parseOptions(args, OPTIONS);
  const { server, client, conformance = false } = values;
  const pairs = server !== undefined || client !== undefined;
  if (pairs && conformance) throw new OptionError("--conformance drives no server and no client");
  const byName = Object.fromEntries(SERVERS.map((kind) => [kind.name, kind]));
  const clientNames = Object.fromEntries(CLIENTS.map((name) => [name, name]));
  return {
    servers: conformance ? [] : chosen("server", server, byName),
    clients: chosen("client", client, clientNames),
    conformance: conformance || !pairs,
    lanes: readNumber("--lanes", values.lanes, { least: 1, most: 16, whole: true }) ?? 2,
    whole: !pairs && !conformance,
  };
}

function chosen<T>(what: string, names: string | undefined, all: Readonly<Record<string, T>>): T[] {
  if (names === undefined) return Object.values(all);
  return names.split(",").map((name) => named(what, name, all));
}
