/**
 * Runs a bundle on plain workerd, as `holdfast serve`, the tests over real HTTP and
 * the benchmarks do. Date, flags, objects and vars are those of its wrangler configuration;
 * variables of the environment win over its vars.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { isLoopbackAddress } from "../src/auth/peer.ts";
import { AUTH_VARIABLES } from "../src/auth/settings.ts";
import { text } from "../src/config/env.ts";
import { CONFIG_VARIABLES } from "../src/config/service.ts";
import { parseUpstreams, secretNames } from "../src/config/upstreams.ts";
import { WorkerdLog } from "./log-line.ts";
import { OPEN_FILES, openFilesLimit } from "./open-files.ts";
import { objectsIn } from "./object-folders.ts";
import { RESERVE_FOLDER } from "./reserve.ts";
import type { WorkerConfig } from "./worker-config.ts";
import { workerdProgram } from "./workerd-program.ts";

export interface WorkerdOptions {
  /** Path of the Worker's module. */
  readonly bundle: string;
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Where the objects' storage lies; made where it is missing. */
  readonly stateDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The configuration that declares it. */
  readonly config: WorkerConfig;
  /** Other Workers that are bound to it: the path of each one's module, by the name of its binding. */
  readonly services?: Readonly<Record<string, string>>;
  /** Objects that run other code than the Worker: the path of their module, by the name of their class. */
  readonly objects?: Readonly<Record<string, string>>;
  /** The folder of the pages; without it there are none. */
  readonly pages?: string;
  /** How many files it may have open; as many as this process may unless given. */
  readonly openFiles?: number | undefined;
  /** Further arguments of `workerd serve`. */
  readonly args?: readonly string[];
  /** Gets each line that the Worker or workerd writes, as JSON. */
  readonly onLine: (line: string) => void;
}

export interface Workerd {
  readonly process: ChildProcess;
  readonly port: number;
  readonly url: string;
  /** Resolves with its exit code and signal when the process has ended. */
  readonly ended: Promise<readonly unknown[]>;
  /**
   * Ends the process: requests under way get `graceMs` to finish. workerd alone
   * waits for open streams without limit.
   */
  stop(graceMs: number): Promise<void>;
}

/** Processes to kill when this one exits, so that none writes to storage that is being removed. */
const running = new Set<ChildProcess>();
process.prependListener("exit", () => running.forEach((child) => child.kill("SIGKILL")));

export async function startWorkerd(options: WorkerdOptions): Promise<Workerd> {
  const stateDir = resolve(options.stateDir);
  await mkdir(objectsIn(stateDir), { recursive: true });
  const configPath = join(stateDir, "workerd.capnp");
  const { config } = options;
  const vars = variables(options.env, config);
  await writeIfChanged(configPath, capnp({ ...options, stateDir }, Object.keys(vars)));

  const modules = [options.bundle, ...[options.services, options.objects].flatMap(paths)];
  const [command = "", ...args] = [
    ...(options.openFiles === undefined ? [] : limited(options.openFiles)),
    workerdProgram(),
    "serve",
    "--experimental",
    "--control-fd=3",
    ...modules.map((path) => `--import-path=${dirname(path)}`),
    ...(options.args ?? []),
    configPath,
  ];
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], ...vars },
  });
  const ended = once(child, "exit");
  running.add(child);
  // `ended` rejects where the program cannot be started at all, which `listening` says too.
  const gone = ended.catch(() => undefined);
  void gone.then(() => running.delete(child));
  const log = new WorkerdLog(options.onLine);
  // Of several lines the first says what is wrong, and others follow from it.
  let first: string | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream) continue;
    const lines = createInterface({ input: stream });
    lines.on("line", (line) => log.take(line)).on("close", () => log.end());
    lines.on("line", (line) => (first ??= line));
  }
  const guard = killWith(child);
  void gone.then(() => guard.kill("SIGKILL"));

  const port = await listening(child, () => first);
  return {
    process: child,
    port,
    url: `http://${options.host.includes(":") ? `[${options.host}]` : options.host}:${port}`,
    ended,
    async stop(graceMs) {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** On a full disk the service starts again with what is there. */
async function writeIfChanged(path: string, text: string): Promise<void> {
  const there = await readFile(path, "utf8").catch(() => undefined);
  if (there !== text) await writeFile(path, text);
}

/** Runs the command that follows, in the same process. */
function limited(openFiles: number): readonly string[] {
  return ["sh", "-c", `ulimit -n ${openFiles}; exec "$@"`, "sh"];
}

function paths(modules: Readonly<Record<string, string>> = {}): readonly string[] {
  return Object.values(modules);
}

/** The port, once workerd says on its control channel that it listens. */
async function listening(child: ChildProcess, said: () => string | undefined): Promise<number> {
  const control = child.stdio[3];
  if (!control || !("read" in control)) throw new Error("workerd has no control channel");
  const port = new Promise<number>((found) => {
    createInterface({ input: control }).on("line", (line) => {
      const message = JSON.parse(line) as { event: string; port?: number };
      if (message.event === "listen" && message.port !== undefined) found(message.port);
    });
  });
  // At "close" all that it wrote has been read.
  const failed = once(child, "close").then(() => {
    const why = said();
    throw new Error(`workerd ended before it listened${why === undefined ? "" : `: ${why}`}`);
  });
  return Promise.race([port, failed]);
}

/**
 * A process that kills workerd when this one ends, even by SIGKILL: its input is a
 * pipe from here, which closes then. Without it workerd would outlive us, and
 * hold the port.
 */
function killWith(child: ChildProcess): ChildProcess {
  const guard = spawn("sh", ["-c", `cat >/dev/null; kill -9 ${child.pid} 2>/dev/null`], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  guard.unref();
  return guard;
}

/** The service's variables: those of the environment, and under them the configuration's. */
export function variables(
  env: WorkerdOptions["env"],
  config: Pick<WorkerConfig, "vars">,
): Record<string, string> {
  const declared = Object.entries(config.vars).map(([k, v]) => [k, String(v)]);
  const secrets = secretNames(parseUpstreams(text(env, "UPSTREAMS")));
  const names = [...CONFIG_VARIABLES, ...AUTH_VARIABLES, ...secrets];
  const set = names.map((name) => [name, env[name]]).filter(([, v]) => v !== undefined);
  return Object.fromEntries([...declared, ...set]) as Record<string, string>;
}

/**
 * workerd's configuration. Variables pass through its environment, so no secret is written to disk.
 *
 * workerd itself would answer a CONNECT with 500. With `connect_pass_through` every CONNECT goes to
 * `globalOutbound` instead. Nothing can listen on that address, so workerd closes the connection.
 * With the internet there, anybody could tunnel through the service. The service's own requests
 * leave by the binding OUTBOUND.
 */
function capnp(options: WorkerdOptions, variableNames: readonly string[]): string {
  const { config } = options;
  const classes = config.durable_objects.bindings.map((binding) => ({
    name: binding.name,
    className: binding.class_name,
  }));
  const elsewhere = options.objects ?? {};
  type Class = (typeof classes)[number];
  const isElsewhere = ({ className }: Class) => className in elsewhere;
  const hostOf = (c: Class) => (isElsewhere(c) ? `holdfast-${c.className}` : "holdfast");
  const namespaceOf = (c: Class) =>
    `(className = ${q(c.className)}, serviceName = ${q(hostOf(c))})`;
  const bound = Object.entries(options.services ?? {});
  const folders = readFolders(options);
  const bindings = [
    ...folders.flatMap(({ bindings }) => bindings),
    `(name = "OUTBOUND", service = "internet")`,
    `(name = "OBJECT_FILES", service = "objects")`,
    ...(isLoopbackAddress(options.host) ? [`(name = "LOOPBACK_ONLY", text = "yes")`] : []),
    ...bound.map(([name]) => `(name = ${q(name)}, service = ${q(name)})`),
    ...classes.map((c) => `(name = ${q(c.name)}, durableObjectNamespace = ${namespaceOf(c)})`),
    ...variableNames.map((name) => `(name = ${q(name)}, fromEnvironment = ${q(name)})`),
  ];
  const workers = [
    { name: "holdfast", module: options.bundle, own: classes.filter((c) => !isElsewhere(c)) },
    ...classes.filter(isElsewhere).map((c) => ({
      name: hostOf(c),
      module: elsewhere[c.className] ?? "",
      own: [c],
    })),
  ];
  const workerOf = ({ name, module, own }: (typeof workers)[number]) => {
    const namespaces = own.map(
      (c) => `(className = ${q(c.className)}, uniqueKey = ${q(c.className)}, enableSql = true)`,
    );
    return `(name = ${q(name)}, worker = (
      modules = [(name = "worker.js", esModule = embed ${q(`/${basename(module)}`)})],
      compatibilityDate = ${q(config.compatibility_date ?? "")},
      compatibilityFlags = [${[...config.compatibility_flags, "connect_pass_through"].map(q).join(", ")}],
      globalOutbound = "nowhere",
      bindings = [${bindings.join(", ")}],
      durableObjectNamespaces = [${namespaces.join(", ")}],
      durableObjectStorage = (localDisk = "objects")
    ))`;
  };
  const services = bound.map(([name, path]) => {
    const module = `(name = "worker.js", esModule = embed ${q(`/${basename(path)}`)})`;
    return `(name = ${q(name)}, worker = (modules = [${module}], compatibilityDate = ${q(config.compatibility_date ?? "")}))`;
  });
  const address = `${options.host.includes(":") ? `[${options.host}]` : options.host}:${options.port}`;
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    ${[...workers.map(workerOf), ...services, ...folders.map(({ service }) => service)].join(",\n    ")},
    (name = "objects", disk = (path = ${q(objectsIn(options.stateDir))}, writable = true)),
    (name = "nowhere", external = (address = "127.0.0.1:0", tcp = ())),
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true)))
  ],
  sockets = [(name = "http", address = ${q(address)}, http = (), service = "holdfast")]
);
`;
}

/**
 * Folders that the Worker reads: the pages, and those that show the machine's resources: open files where
 * they have a limit, the disk under `npm run serve`.
 */
function readFolders({
  stateDir,
  openFiles,
  pages,
}: WorkerdOptions): { service: string; bindings: string[] }[] {
  const limit = openFiles ?? openFilesLimit();
  const reserve = join(stateDir, RESERVE_FOLDER);
  const folder = (name: string, path: string, bindings: string[]) => ({
    service: `(name = ${q(name)}, disk = (path = ${q(path)}))`,
    bindings,
  });
  return [
    ...(limit === undefined
      ? []
      : [
          folder("open-files", OPEN_FILES, [
            `(name = "OPEN_FILES", service = "open-files")`,
            `(name = "OPEN_FILES_LIMIT", text = ${q(String(limit))})`,
          ]),
        ]),
    ...(existsSync(reserve)
      ? [folder("reserve", reserve, [`(name = "DISK_RESERVE", service = "reserve")`])]
      : []),
    ...(pages === undefined
      ? []
      : [folder("console", resolve(pages), [`(name = "CONSOLE", service = "console")`])]),
  ];
}

function q(text: string): string {
  return JSON.stringify(text);
}
