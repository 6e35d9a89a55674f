/** The service as a process of its own: plain workerd over real HTTP, with storage on disk. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject } from "vitest";
import { readWorkerConfig } from "../../scripts/worker-config.ts";
import { startWorkerd, type Workerd } from "../../scripts/workerd.ts";
import type { Session } from "../../src/core/api.ts";
import { freePort } from "./free-port.ts";
import { keepLog } from "./kept-logs.ts";
import { atEnd } from "./scope.ts";

interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface ServiceOptions {
  /** The Worker's module, in place of the bundle of this code. */
  readonly bundle?: string;
  /** Objects that run other code than the Worker: the path of their module, by the name of their class. */
  readonly objects?: Readonly<Record<string, string>>;
  /** Workers that are bound to the service: the path of each one's module, by the name of its binding. */
  readonly services?: Readonly<Record<string, string>>;
  /** The folder of the pages; without it there are none. */
  readonly pages?: string;
}

export class Service {
  readonly #env: Record<string, string>;
  /** Where its storage lies. */
  readonly stateDir: string;
  #options: ServiceOptions;
  #workerd: Workerd;
  /** Every JSON line that the service logged, over all its lives. */
  readonly lines: LogLine[] = [];
  readonly #watchers = new Set<() => void>();

  private constructor(
    env: Record<string, string>,
    options: ServiceOptions,
    stateDir: string,
    workerd: Workerd,
  ) {
    this.#env = env;
    this.stateDir = stateDir;
    this.#options = options;
    this.#workerd = workerd;
  }

  /** Starts a service that ends with the test, or with all that share it. */
  static async start(
    env: Record<string, string> = {},
    options: ServiceOptions = {},
  ): Promise<Service> {
    const stateDir = await mkdtemp(join(tmpdir(), "holdfast-test-"));
    const onLine = (line: string) => service?.take(line);
    let service: Service | undefined;
    const workerd = await launch(env, options, stateDir, await freePort(), onLine);
    service = new Service(env, options, stateDir, workerd);
    atEnd(async () => {
      await service.kill();
      await rm(stateDir, { recursive: true, force: true });
    });
    return service;
  }

  get url(): string {
    return this.#workerd.url;
  }

  get port(): number {
    return this.#workerd.port;
  }

  get pid(): number {
    return this.#workerd.process.pid ?? 0;
  }

  /** Changes settings, which count from the next start on. */
  configure(changes: Readonly<Record<string, string>>): void {
    Object.assign(this.#env, changes);
  }

  /** Changes the code, from the next start on. */
  deploy(options: ServiceOptions): void {
    this.#options = options;
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    this.#workerd.process.kill("SIGKILL");
    await this.#workerd.ended;
  }

  /** Starts it again on the same port and storage. */
  async restart(): Promise<void> {
    const { port } = this.#workerd;
    this.#workerd = await launch(this.#env, this.#options, this.stateDir, port, (line) =>
      this.take(line),
    );
  }

  take(line: string): void {
    keepLog(line);
    if (!line.startsWith("{")) return;
    this.lines.push(JSON.parse(line) as LogLine);
    for (const watcher of this.#watchers) watcher();
  }

  /** Resolves with the first logged line, past or to come, that fits. */
  logged(fits: (line: LogLine) => boolean): Promise<LogLine> {
    return new Promise((resolve) => {
      const look = () => {
        const line = this.lines.find(fits);
        if (!line) return;
        this.#watchers.delete(look);
        resolve(line);
      };
      this.#watchers.add(look);
      look();
    });
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(this.url + path, init);
  }

  async send<T>(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; json: T }> {
    const response = await this.fetch(path, {
      method,
      ...(body !== undefined && {
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      }),
    });
    const text = await response.text();
    return { status: response.status, json: (text === "" ? undefined : JSON.parse(text)) as T };
  }

  async make(body: object = {}): Promise<Session> {
    const { status, json } = await this.send<Session>("POST", "/v1/sessions", body);
    if (status !== 201) throw new Error(`create answered ${status}`);
    return json;
  }

  publish(id: string, body: unknown) {
    return this.send<{ id: string; ids: string[]; writers: number }>(
      "POST",
      `/v1/sessions/${id}/events`,
      body,
    );
  }
}

function launch(
  env: Record<string, string>,
  options: ServiceOptions,
  stateDir: string,
  port: number,
  onLine: (line: string) => void,
): Promise<Workerd> {
  const config = readWorkerConfig();
  const place = { bundle: inject("bundle"), config, host: "127.0.0.1", port, stateDir };
  return startWorkerd({ ...place, ...options, env, onLine });
}
