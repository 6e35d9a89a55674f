/**
 * Every bound of `core/limits.ts` and of the configuration has a row here. A row tries exactly the
 * bound and one beyond, or names the test that does, or says why there is no such pair. A bound
 * without a row fails this file.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { createApp } from "../../../src/app.ts";
import { CONFIG_VARIABLES, loadConfig } from "../../../src/config/service.ts";
import { jsonProblem } from "../../../src/core/json-bounds.ts";
import * as limits from "../../../src/core/limits.ts";
import { Reservations } from "../../../src/directory/reservations.ts";
import { classify } from "../../../src/gateway/classify.ts";
import { eraSessionOf } from "../../../src/gateway/eras/era-session.ts";
import { filterOf } from "../../../src/gateway/eras/listen.ts";
import { initializeFor, type ModernRequest } from "../../../src/gateway/eras/modern-request.ts";
import { messagesIn } from "../../../src/gateway/json-rpc.ts";
import { Rounds } from "../../../src/gateway/object/rounds.ts";
import { SessionServer } from "../../../src/gateway/own/server.ts";
import { ServerStore } from "../../../src/gateway/own/store.ts";
import type { GatewayCall } from "../../../src/gateway/request.ts";
import { initialize } from "../../../src/gateway/streamable.ts";
import { listen } from "../../../src/gateway/tasks/listen.ts";
import { outcomeOf, progressIn } from "../../../src/gateway/tasks/text.ts";
import { followed } from "../../../src/gateway/upstream/redirect.ts";
import { retryAfter } from "../../../src/gateway/upstream-listener.ts";
import { HeldBytes } from "../../../src/http/held-bytes.ts";
import { newSessionId } from "../../../src/library/model/session.ts";
import { pageOf } from "../../../src/stream/event-page.ts";
import { shorten } from "../../../src/wire/shorten.ts";
import { ObjectStorage } from "../../support/object-storage.ts";
import { startPlatform, type Platform } from "../../support/platform/platform.ts";

const ROOT = join(import.meta.dirname, "../../..");

/** Returns whether a value of this size is taken. */
type Takes = (size: number, service: Service) => boolean | Promise<boolean>;

type Row =
  /** The bound, in the unit of `takes`. `least`: the value below it is refused, and not the one above. */
  | { readonly takes: Takes; readonly step?: number; readonly least?: true }
  /** A test that tries both sides, and names the bound. */
  | { readonly test: string }
  /** A wait, a size of a batch or a rate: nothing is refused beyond it. */
  | "pace"
  /** The value that the service uses if a caller names none; a test of that option shows it. */
  | "default";

class Service {
  readonly platform: Platform = startPlatform({ BODY_MAX_BYTES: String(16 * 1024 * 1024) });
  readonly id = newSessionId();
  readonly #app = createApp(
    this.platform.host(),
    loadConfig({ LOG_LEVEL: "error", BODY_MAX_BYTES: String(16 * 1024 * 1024) }),
  );

  async send(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<number> {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const answer = this.#app.request(`http://localhost${path}`, {
      method,
      headers: { ...(text !== undefined && { "content-type": "application/json" }), ...headers },
      ...(text !== undefined && { body: text }),
    });
    const { status } = await answer;
    return status;
  }

  create(content: Record<string, unknown>): Promise<number> {
    return this.send("POST", "/v1/sessions", content);
  }

  async publish(body: unknown, headers: Record<string, string> = {}): Promise<number> {
    await this.send("PUT", `/v1/sessions/${this.id}`, {});
    return this.send("POST", `/v1/sessions/${this.id}/events`, body, headers);
  }
}

const made = (status: number) => status === 201;
const fine = (status: number) => status >= 200 && status < 300;
const x = (size: number) => "x".repeat(size);

/** The data whose stored JSON has this many bytes: a string and its quotes. */
const dataOf = (bytes: number) => x(bytes - 2);

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const after = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const isDone = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => true,
    () => false,
  );

/** A request to the gateway, over sessions that take everything, of which the caller has so many. */
function gatewayCall(count = 0): GatewayCall {
  const sessions = { initialize: async () => ({ kind: "initialized", messages: ["{}"] }) };
  return {
    parts: {
      config: loadConfig({}),
      host: { as: () => sessions, count: async () => ({ count }) },
    },
    request: new Request("http://localhost/mcp"),
    headers: new Map(),
    upstream: { name: "default", forwardAuthorization: false },
    caller: { subject: "alice", admin: false },
    sessions,
  } as unknown as GatewayCall;
}

/** Whether a session is made for a client of the stateless revision whose initialize request has so many bytes. */
async function isMadeForModern({ bytes = 1000, count = 0 }): Promise<boolean> {
  const least = initializeFor({ clientInfo: { name: "" }, capabilities: {} }).length;
  const client = { clientInfo: { name: x(bytes - least) }, capabilities: {} };
  const session = await eraSessionOf(gatewayCall(count), client as unknown as ModernRequest);
  return isDone(session.make());
}

/** A server of one's own that takes so many milliseconds to start, and as many for its handler of `onWake`. */
function ownServer(startMs: number, wakeMs: number) {
  const warned: string[] = [];
  const server = new SessionServer({
    name: "default",
    server: {
      make: async ({ onWake, wake }) => {
        await after(startMs);
        onWake(() => after(wakeMs));
        wake(0);
        return { connect: async () => undefined, close: async () => undefined };
      },
    },
    session: () => ({ id: newSessionId(), subject: undefined, metadata: {} }),
    store: new ServerStore({} as DurableObjectStorage, true),
    publish: () => Promise.reject<never>(new Error("not in this test")),
    wakeBy: () => undefined,
    restoring: () => [],
    unasked: () => undefined,
    log: { warn: (event: string) => void warned.push(event) } as never,
  });
  let isRefused = false;
  const body = JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params: {} });
  server.send({ method: "POST", headers: {}, body }).catch(() => (isRefused = true));
  return {
    warned,
    server,
    get isRefused() {
      return isRefused;
    },
  };
}

const ROWS: Readonly<Record<keyof typeof limits, Row>> = {
  MAX_EVENTS_PER_PUBLISH: {
    takes: async (n, service) =>
      fine(await service.publish(Array.from({ length: n }, () => ({ data: 1 })))),
  },
  MAX_EVENT_NAME_LENGTH: {
    takes: async (n, service) => fine(await service.publish({ event: x(n), data: 1 })),
  },
  MAX_IDEMPOTENCY_KEY_LENGTH: {
    takes: async (n, service) =>
      fine(await service.publish({ data: 1 }, { "idempotency-key": x(n) })),
  },
  RESERVED_EVENT_NAMES: { test: "test/workers/refusals.test.ts" },
  MAX_METADATA_KEYS: {
    takes: async (n, service) => {
      const keys = Array.from({ length: n }, (_, key) => [`k${key}`, ""] as const);
      return made(await service.create({ metadata: Object.fromEntries(keys) }));
    },
  },
  MAX_METADATA_BYTES: {
    takes: async (n, service) => made(await service.create({ metadata: { a: x(n - 8) } })),
  },
  MAX_DATA_BYTES: { takes: async (n, service) => made(await service.create({ data: dataOf(n) })) },
  MAX_JSON_DEPTH: { takes: (n) => jsonProblem("[".repeat(n) + "]".repeat(n)) === undefined },
  MAX_JSON_VALUES: {
    takes: (n) =>
      jsonProblem(
        `[${Array(n - 1)
          .fill("1")
          .join(",")}]`,
      ) === undefined,
  },
  MAX_SUBJECT_LENGTH: {
    takes: async (n, service) => made(await service.create({ subject: x(n) })),
  },
  MIN_TTL_MS: {
    least: true,
    takes: async (n, service) => made(await service.create({ ttlSeconds: n / 1000 })),
  },
  MAX_TTL_MS: {
    takes: async (n, service) => made(await service.create({ ttlSeconds: n / 1000 })),
  },
  REPLAY_PAGE_BYTES: "pace",
  PIECE_BYTES: { test: "test/unit/stream/bridge-pieces.test.ts" },
  UNSEEN_BYTES: "pace",
  CONFIRM_AFTER_MS: { test: "test/unit/stream/bridge.test.ts" },
  SLOW_LINK_BYTES_PER_S: { test: "test/unit/stream/bridge.test.ts" },
  CONFIRM_SOON_MS: { test: "test/unit/stream/bridge.test.ts" },
  WRITERS_PER_HELD_MS: "pace",
  MAX_HOLD_MS: "pace",
  MAX_SHARED_LOG: "pace",
  PROBE_MS: "pace",
  PROBE_INTERVAL_MS: "pace",
  RETRY_MS: "pace",
  MAX_PAGE_EVENTS: {
    takes: async (n, service) => {
      await service.publish({ data: 1 });
      const path = `/v1/sessions/${service.id}/events?limit=${n}`;
      return fine(await service.send("GET", path, undefined, { accept: "application/json" }));
    },
  },
  DEFAULT_PAGE_EVENTS: "default",
  MAX_PAGE_BYTES: {
    takes: (n) => {
      const rows = [x(n - 1), "x"].map((data, at) => ({ seq: at + 1, event: null, data }));
      const log = {
        beforeFirst: 0,
        lastSeq: 2,
        idOf: String,
        resume: () => ({ kind: "gap" as const }),
        after: () => rows,
      };
      return pageOf(log as never, { limit: 10 }, false).events.length === 2;
    },
  },
  MAX_WAIT_SECONDS: {
    // A request that may wait is refused or answered at once here: there is an event to read.
    takes: async (n, service) => {
      await service.publish({ data: 1 });
      const path = `/v1/sessions/${service.id}/events?wait=${n}`;
      return fine(await service.send("GET", path, undefined, { accept: "application/json" }));
    },
  },
  MIN_WAIT_MS: { test: "test/workers/waiting.test.ts" },
  MAX_URL_LENGTH: {
    takes: async (n, service) => {
      const base = "http://localhost/v1/sessions?cursor=";
      return (await service.send("GET", `/v1/sessions?cursor=${x(n - base.length)}`)) !== 414;
    },
  },
  MAX_HEADER_BYTES: { test: "test/workers/guard.test.ts" },
  BODY_MS: { test: "test/unit/http/body.test.ts" },
  // A small body always has room, and a larger one not where there is none.
  MAX_SMALL_BODY_BYTES: { takes: (n) => new HeldBytes(0).hold().grow(n) },
  MAX_HELD_BYTES: { takes: (n) => new HeldBytes().hold().grow(n) },
  MAX_SESSION_BODY_BYTES: {
    takes: async (n, service) => made(await service.send("POST", "/v1/sessions", "{}".padEnd(n))),
  },
  JSON_BYTES_PER_EVENT_BYTE: "pace",
  MAX_DETAIL_LENGTH: {
    takes: (n) => shorten(x(n), limits.MAX_DETAIL_LENGTH) === x(n),
  },
  DRAIN_BYTES: { test: "test/e2e/refused-bodies.test.ts" },
  DRAIN_MS: { test: "test/unit/http/drain-refused-body.test.ts" },
  DRAIN_SILENCE_MS: { test: "test/unit/http/drain-refused-body.test.ts" },
  UNANSWERED_MS: "pace",
  FILES_PER_REQUEST: { test: "test/unit/http/open-files.test.ts" },
  OPEN_FILES_SHARE: "pace",
  OPEN_FILES_PAUSE_MS: { test: "test/unit/http/open-files.test.ts" },
  DISK_LOOK_MS: { test: "test/unit/http/disk-room.test.ts" },
  MAX_BATCH: {
    takes: (n) => {
      const batch = `[${Array(n).fill("{}").join(",")}]`;
      return jsonProblem(batch, limits.MAX_BATCH) === undefined;
    },
  },
  MAX_REQUEST_ID_LENGTH: {
    // The quotes count: it is the id as JSON.
    takes: (n) => {
      const request = `{"jsonrpc":"2.0","id":"${x(n - 2)}","method":"ping"}`;
      const kinds = [request, `[${request}]`].map(
        (body) => classify({ body, value: JSON.parse(body) }, undefined).kind,
      );
      expect(kinds[1]).toBe(kinds[0]);
      return kinds[0] === "exchange";
    },
  },
  TURN_BYTES: "pace",
  QUICK_ANSWER_MS: { test: "test/unit/gateway/object/answers.test.ts" },
  UPSTREAM_SETTLE_MS: { test: "test/unit/gateway/object/answers.test.ts" },
  UPSTREAM_DOUBT_MS: { test: "test/unit/gateway/object/exchange-body.test.ts" },
  UPSTREAM_HEARD_MS: { test: "test/unit/gateway/upstream/health.test.ts" },
  UPSTREAM_ASKED_MS: { test: "test/unit/gateway/object/upstream-link.test.ts" },
  MAX_UPSTREAM_REDIRECTS: {
    takes: async (n) => {
      const redirects = Array.from({ length: n }, () => 307);
      const headers = { location: "/mcp" };
      const send = async () => new Response(null, { status: redirects.pop() ?? 200, headers });
      const { answer } = await followed("https://upstream.invalid/mcp", "POST", send);
      return answer.ok;
    },
  },
  UPSTREAM_RETRY_MS: { test: "test/unit/gateway/object/evicted.test.ts" },
  MAX_UPSTREAM_RETRY_MS: { test: "test/unit/gateway/object/streamed-answer.test.ts" },
  MAX_UPSTREAM_REFUSED_MS: "pace",
  MIN_UPSTREAM_RETRY_MS: "pace",
  MAX_RETRY_AFTER_MS: {
    takes: (n) => {
      const at = Date.UTC(2100, 0, 1);
      return retryAfter(new Date(at).toUTCString(), at - n) === n;
    },
  },
  MAX_UPSTREAM_RESUMES: { test: "test/unit/gateway/object/streamed-answer.test.ts" },
  MAX_UPSTREAM_RESUME_FAILURES: { test: "test/unit/gateway/object/evicted.test.ts" },
  UPSTREAM_HEAD_MS: { test: "test/unit/gateway/object/answers.test.ts" },
  UPSTREAM_HELD_MS: "pace",
  ASKING_UPSTREAM_HELD_MS: "pace",
  MAX_INIT_BODY_BYTES: {
    takes: async (n) => {
      const isTaken = await isDone(initialize(gatewayCall(), x(n)));
      expect(await isMadeForModern({ bytes: n })).toBe(isTaken);
      return isTaken;
    },
  },
  MAX_STATE_BYTES: {
    takes: (n) => {
      const store = new ServerStore({} as DurableObjectStorage, true);
      return !throws(() => store.put("k", x(n - 3)));
    },
  },
  MAX_STATE_KEYS: {
    takes: (n) => {
      const store = new ServerStore({} as DurableObjectStorage, true);
      return !throws(() => {
        for (let key = 0; key < n; key++) store.put(`k${key}`, 1);
      });
    },
  },
  MAX_WAKES: {
    takes: (n) => {
      const store = new ServerStore({} as DurableObjectStorage, true);
      return !throws(() => {
        for (let at = 0; at < n; at++) store.addWake(at);
      });
    },
  },
  SERVER_START_MS: {
    takes: async (n) => {
      const own = ownServer(n, 0);
      await advance(2 * n);
      return !own.isRefused;
    },
  },
  SERVER_WAKE_MS: {
    takes: async (n) => {
      const { server, warned } = ownServer(0, n);
      await advance(0);
      const woken = server.wake(Date.now());
      await advance(2 * n);
      await woken;
      return warned.length === 0;
    },
  },
  READY_MS: { test: "test/unit/http/readiness.test.ts" },
  READY_TIMEOUT_MS: { test: "test/unit/http/readiness.test.ts" },
  COUNTS_MS: "pace",
  MAX_LIST_LIMIT: {
    takes: async (n, service) => fine(await service.send("GET", `/v1/sessions?limit=${n}`)),
  },
  DEFAULT_LIST_LIMIT: "default",
  MAX_DIRECTORY_SHARDS: {
    takes: (n) => !throws(() => loadConfig({ DIRECTORY_SHARDS: String(n) })),
  },
  SHARD_TIMEOUT_MS: {
    // A shard that takes so many milliseconds less one still counts, and not one that takes them all.
    takes: async (n, { platform }) => {
      platform.intercept = (_call, go) =>
        new Promise((resolve) => setTimeout(() => resolve(go()), n - 1));
      const counted = platform.directory.count({}).then(
        () => true,
        () => false,
      );
      await vi.advanceTimersByTimeAsync(limits.SHARD_TIMEOUT_MS + 1);
      return counted;
    },
  },
  ENTRY_GRACE_MS: "pace",
  RENEWED_FOR_MS: "pace",
  REMOVAL_MEMORY_MS: "pace",
  SEND_DELAY_MS: "pace",
  GATHER_MS: "pace",
  FIRST_RESEND_MS: "pace",
  LONGEST_RESEND_MS: "pace",
  OWN_ALARM_AFTER_TRIES: "pace",
  MAX_RESTAMPS: "pace",
  SWEEP_BATCH: "pace",
  REBALANCE_BATCH: "pace",
  SWEEP_INTERVAL_MS: "pace",
  MAX_MERGED_TYPES: "pace",
  REVOKE_BATCH: "pace",
  SHARD_RETRY_MS: "pace",
  REVOCATION_MEMORY_MS: { test: "test/workers/directory-move.test.ts" },
  MOVE_SETTLE_MS: { test: "test/workers/directory-move.test.ts" },
  RESERVATION_MS: {
    // The only place stays reserved for so many milliseconds less one.
    takes: async (n) => {
      const places = new Reservations();
      const none = () => Promise.resolve(0);
      await places.admit("a", "1", 1, none, () => 0);
      return !(await places.admit("a", "2", 1, none, () => n - 1));
    },
  },
  MAX_STATUS_MESSAGE_LENGTH: {
    // A longer one is cut.
    takes: (n) => {
      const progress = { params: { progressToken: 7, progress: 1, message: x(n) } };
      const isWhole = progressIn(JSON.stringify(progress), "7") === x(n);
      const failed = `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"${x(n)}"}}`;
      const [response] = messagesIn(failed);
      const end = { kind: "ended", end: { message: x(n) } };
      if (isWhole) expect(outcomeOf(response!)).toMatchObject(end);
      else expect(outcomeOf(response!)).not.toMatchObject(end);
      return isWhole;
    },
  },
  FIRST_TASK_LOOK_MS: "pace",
  LONGEST_TASK_LOOK_MS: "pace",
  TASK_REPEAT_MS: "pace",
  MAX_LISTENED_TASKS: {
    // The client names one task twice, and the service counts it once.
    takes: async (n) => {
      const taskIds = Array.from({ length: n }, (_, task) => `task-${task}`);
      const request = { body: "{}", id: "1", notifications: { taskIds: [...taskIds, "task-0"] } };
      const answer = listen(gatewayCall(), request, () => Promise.reject(new Error("not asked")));
      return isDone(answer.then(({ body }) => body?.cancel()));
    },
  },
  ERA_LINGER_MS: "pace",
  ERA_GATHER_MS: "pace",
  MAX_POOLED_CLIENTS: { test: "test/unit/gateway/eras/slots.test.ts" },
  MAX_SLOTS_TRIED_AGAIN: { test: "test/unit/gateway/eras/slots.test.ts" },
  MAX_ERA_SESSIONS: { takes: (n) => isMadeForModern({ count: n - 1 }) },
  MAX_PARKED_CALLS: {
    takes: (n) => {
      const rounds = new Rounds(new ObjectStorage().open().storage.sql);
      for (let exchange = 1; exchange < n; exchange++) {
        rounds.park({ exchange, request: "1", body: "", questions: [] });
      }
      return rounds.hasRoomFor(1);
    },
  },
  MAX_PARKED_UNITS: {
    takes: (n) => {
      const rounds = new Rounds(new ObjectStorage().open().storage.sql);
      // One alone may be larger.
      expect(rounds.hasRoomFor(2 * n)).toBe(true);
      const parked = { exchange: 1, request: "1", body: "a", questions: [] };
      rounds.park(parked);
      return rounds.hasRoomFor(n - JSON.stringify(parked).length);
    },
  },
  MAX_LISTENED_RESOURCES: {
    takes: (n) => {
      const resourceSubscriptions = Array.from({ length: n }, () => "test://a");
      return !throws(() => filterOf({ params: { notifications: { resourceSubscriptions } } }));
    },
  },
  MAX_OWNED_TASKS: "default",
  MAX_TASK_TOOL_LENGTH: { test: "test/unit/gateway/tasks/tool-name.test.ts" },
};

function throws(act: () => unknown): boolean {
  try {
    act();
    return false;
  } catch {
    return true;
  }
}

const BOUNDS = new Map<string, unknown>(Object.entries(limits));

const rowsOf = Object.entries(ROWS) as [keyof typeof limits, Row][];

it("every fixed bound has a row", () => {
  expect(Object.keys(ROWS).toSorted()).toEqual(Object.keys(limits).toSorted());
});

describe("is taken up to its bound, and not one beyond:", () => {
  const tried = rowsOf.filter(([, row]) => typeof row === "object" && "takes" in row);

  it.each(tried.map(([name]) => name))("%s", async (name) => {
    const row = ROWS[name] as Extract<Row, { takes: Takes }>;
    const bound = BOUNDS.get(name) as number;
    const beyond = row.least ? bound - 1 : bound + 1;
    expect(await row.takes(bound, new Service())).toBe(true);
    expect(await row.takes(beyond, new Service())).toBe(false);
  });
});

it("a test that a row names is there, and names the bound", () => {
  for (const [name, row] of rowsOf) {
    if (typeof row !== "object" || !("test" in row) || name === "RESERVED_EVENT_NAMES") continue;
    const path = join(ROOT, row.test);
    expect(existsSync(path), row.test).toBe(true);
    expect(readFileSync(path, "utf8"), `${row.test} of ${name}`).toMatch(
      new RegExp(`\\b${name}\\b`),
    );
  }
});

it("refuses each reserved name, and one that only begins with it is free", async () => {
  for (const name of limits.RESERVED_EVENT_NAMES) {
    const service = new Service();
    expect(await service.publish({ event: name, data: 1 })).toBe(400);
    expect(await service.publish({ event: `${name}s`, data: 1 })).toBe(202);
  }
});

const MIB = 1024 * 1024;

/** The least and the most of each number, as the table in docs/options.md says. Null: no number. */
const OPTIONS: Readonly<
  Record<
    (typeof CONFIG_VARIABLES)[number],
    readonly [least: number, most: number, step?: number] | null
  >
> = {
  SESSION_TTL_SECONDS: [0.1, 31_536_000, 0.001],
  // 0 means no limit.
  SESSION_MAX_LIFETIME_SECONDS: [0.1, 31_536_000, 0.001],
  KEEPALIVE_SECONDS: [0.05, 3600, 0.001],
  QUEUE_CAPACITY: [1, 100_000],
  LOG_MAX_EVENTS: [1, 1_000_000],
  LOG_MAX_BYTES: [1, 1024 * MIB],
  EVENT_MAX_BYTES: [1, 1.5 * MIB],
  STREAM_BUFFER_BYTES: [1024, 64 * MIB],
  BODY_MAX_BYTES: [1, 16 * MIB],
  MAX_WRITERS: [1, 10_000],
  UPSTREAMS: null,
  DIRECTORY_SHARDS: [0, 256],
  MAX_SESSIONS_PER_SUBJECT: [0, 1_000_000],
  MAX_TASKS_PER_OWNER: [0, 1_000_000],
  LOG_LEVEL: null,
  JURISDICTION: null,
  LOCATION_HINT: null,
  LOG_REQUESTS: null,
};

it("every option has a row", () => {
  expect(Object.keys(OPTIONS).toSorted()).toEqual([...CONFIG_VARIABLES].toSorted());
});

describe("an option is taken from its least to its most, and neither below nor beyond:", () => {
  const numbers = Object.entries(OPTIONS).flatMap(([name, range]) =>
    range ? [{ name, range }] : [],
  );

  it.each(numbers)("$name", ({ name, range: [least, most, step = 1] }) => {
    const taken = (value: number) =>
      !throws(() => loadConfig({ [name]: String(Number(value.toFixed(6))) }));
    expect([least, most].map(taken)).toEqual([true, true]);
    expect(taken(most + step)).toBe(false);
    expect(taken(least - step)).toBe(false);
  });
});
