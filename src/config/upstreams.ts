/**
 * `UPSTREAMS`: the MCP servers behind the gateway, by name. `default` is served
 * at `/mcp`, the others at `/mcp/{name}`. Unset, `default` is the demo server.
 */
import { isObject, parseJson } from "../wire/json.ts";
import { ConfigError, text, type Environment } from "./env.ts";

/** Whether the gateway may send requests to a URL, and why not. */
type UpstreamUrlVerdict =
  | { readonly ok: true; readonly url: URL }
  | { readonly ok: false; readonly reason: UpstreamUrlProblem };

type UpstreamUrlProblem =
  | "is not a URL"
  | "is not http or https"
  | "has credentials"
  | "is of another origin";

/** A URL that the configuration names. The operator may name a private address. */
export function configuredUpstreamUrl(text: string): UpstreamUrlVerdict {
  const url = URL.parse(text);
  if (!url) return refused("is not a URL");
  if (!/^https?:$/.test(url.protocol)) return refused("is not http or https");
  if (url.username !== "" || url.password !== "") return refused("has credentials");
  return { ok: true, url };
}

/**
 * A URL that an upstream sends, found at `base`. It must be of the same origin: the gateway
 * sends the upstream's secrets there, and must reach no address that the configuration does
 * not name, whether private or public.
 */
export function derivedUpstreamUrl(text: string, base: URL): UpstreamUrlVerdict {
  const verdict = configuredUpstreamUrl(URL.parse(text, base.href)?.href ?? "");
  if (verdict.ok && verdict.url.origin !== base.origin) return refused("is of another origin");
  return verdict;
}

function refused(reason: UpstreamUrlProblem): UpstreamUrlVerdict {
  return { ok: false, reason };
}

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const HEADER_NAME = /^[\w-]+$/;
/**
 * RFC 9110, 5.5, takes no control character but the tab. Around the value there may be what
 * Fetch removes (2.2.2): a secret from a file often ends with a line end. Nothing beyond ASCII:
 * workerd sends it as UTF-8, with a warning that quotes the value.
 */
const HEADER_VALUE = /^[\t\n\r ]*[\t\x20-\x7e]*[\t\n\r ]*$/;
/** Says what is wrong without the value, which may be a secret. */
export const NO_HEADER_VALUE =
  "must hold no line end, no other control character and none beyond ASCII";

/** Seconds; a timer in JavaScript can hold more, a client waits less. */
const LONGEST_TIMEOUT_SECONDS = 86_400;
const SHORTEST_TIMEOUT_SECONDS = 0.05;

/** Seconds without a message after which a stream counts as ended: a tool that works for longer reports its progress. */
export const SILENCE_SECONDS = 600;
/** Seconds that a call may take in all, messages or not. */
export const CALL_SECONDS = 3600;

/** How long calls become tasks. Times are whole milliseconds. */
export interface TaskSettings {
  /** After this a call that has not answered becomes a task. */
  readonly afterMs: number;
  /** How long a task lives from then on, at work or not. */
  readonly ttlMs: number;
  /** How often the gateway tells clients to ask. */
  readonly pollIntervalMs: number;
  /** Tools that only a client may call that knows of tasks. */
  readonly required: readonly string[];
}

export interface ServerSettings {
  /** Where the server is, in the order of trying; empty if it is a service binding. */
  readonly urls: readonly string[];
  readonly binding?: string;
  /** Sent with every request; a value `$NAME` is the secret of that name. */
  readonly headers: Readonly<Record<string, string>>;
  /** How long the upstream may take to begin a stream, or to send a JSON answer whole. */
  readonly timeoutSeconds: number;
  /** How long a stream of the upstream may bring no message. A comment is no message. */
  readonly silenceSeconds: number;
  /** How long a call may take in all, even if messages keep coming. At least `timeoutSeconds`. */
  readonly callSeconds: number;
  readonly transport: "streamable" | "sse";
  /** The era of MCP that the server speaks; absent (`auto`): its answers show it. */
  readonly era?: "legacy" | "modern";
  /**
   * Send the client's credential on as `Authorization`: the one in its Authorization header
   * (true), or in the header of this name.
   */
  readonly forwardAuthorization: boolean | string;
  /** Absent: no call becomes a task. */
  readonly tasks?: TaskSettings;
}

/** A server of one's own, which only code can give. */
export interface OwnServerSettings {
  readonly server: true;
  /** How long a call may take in all. */
  readonly callSeconds: number;
  /** Absent: no call becomes a task. */
  readonly tasks?: TaskSettings;
}

export type UpstreamSettings = "demo" | ServerSettings | OwnServerSettings;
export type UpstreamsSettings = Readonly<Record<string, UpstreamSettings>>;

export const DEFAULT_UPSTREAM = "default";

const UNSET: UpstreamsSettings = { [DEFAULT_UPSTREAM]: "demo" };

/** Reads `UPSTREAMS`. Throws a ConfigError that says what is wrong, and quotes no value: a header's may be a secret. */
export function parseUpstreams(text: string | undefined): UpstreamsSettings {
  if (text === undefined) return UNSET;
  const value = parseJson(text);
  if (value === undefined) throw problem("must be JSON");
  if (!isObject(value)) throw problem("must be an object, name to upstream");
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => {
      if (!NAME.test(name)) throw problem(`${name}: is no name: a-z, 0-9, - and _, at most 63`);
      return [name, upstreamOf(name, one)];
    }),
  );
}

function problem(what: string): ConfigError {
  return new ConfigError(`UPSTREAMS ${what}`);
}

const OPTIONS = [
  "url",
  "replicas",
  "binding",
  "headers",
  "timeoutSeconds",
  "silenceSeconds",
  "callSeconds",
  "transport",
  "era",
  "forwardAuthorization",
  "tasks",
];

type Check = (holds: unknown, what: string) => asserts holds;

const RANGE = `from ${SHORTEST_TIMEOUT_SECONDS} to ${LONGEST_TIMEOUT_SECONDS}`;

function upstreamOf(name: string, value: unknown): UpstreamSettings {
  if (value === "demo") return value;
  const check: Check = (holds, what) => {
    if (!holds) throw problem(`${name}: ${what}`);
  };
  check(isObject(value), 'must be "demo" or an object');
  if ("server" in value) return ownServerOf(value, check);
  const unknown = Object.keys(value).find((key) => !OPTIONS.includes(key));
  check(unknown === undefined, `has no option ${unknown}; there are ${OPTIONS.join(", ")}`);
  const { url, replicas = [], binding, headers = {}, forwardAuthorization = false } = value;
  const { timeoutSeconds = 60, transport = "streamable" } = value;
  check(Array.isArray(replicas), "replicas must be a list of URLs");
  const urls = [...new Set([...(url === undefined ? [] : [url]), ...(replicas as unknown[])])];
  const invalid = "url and replicas must be http or https URLs without credentials";
  check(urls.every(isUpstreamUrl), invalid);
  const named = binding === undefined || (typeof binding === "string" && binding !== "");
  check(named, "binding must be the name of a service binding");
  const either = (binding === undefined) !== (urls.length === 0);
  check(either, "must have either url or replicas, or binding");
  check(isDuration(timeoutSeconds), `timeoutSeconds must be ${RANGE}`);
  const { silenceSeconds = SILENCE_SECONDS } = value;
  check(isDuration(silenceSeconds), `silenceSeconds must be ${RANGE}`);
  const { callSeconds = Math.max(CALL_SECONDS, timeoutSeconds) } = value;
  check(isDuration(callSeconds), `callSeconds must be ${RANGE}`);
  check(callSeconds >= timeoutSeconds, "callSeconds must be at least timeoutSeconds");
  const known = transport === "streamable" || transport === "sse";
  check(known, "transport must be streamable or sse");
  const { era = "auto" } = value;
  check(era === "auto" || isEra(era), "era must be auto, legacy or modern");
  check(transport !== "sse" || era !== "modern", "era must not be modern with transport sse");
  const forwards =
    typeof forwardAuthorization === "boolean" || isCredentialHeader(forwardAuthorization);
  check(
    forwards,
    `forwardAuthorization must be true, false (without quotes) or ${A_CREDENTIAL_HEADER}`,
  );
  check(isHeaders(headers), "headers must be an object, name to text");
  const bad = Object.entries(headers).find(([, text]) => !isHeaderValue(text));
  check(!bad, `headers.${bad?.[0]} ${NO_HEADER_VALUE}`);
  const bound = binding === undefined ? {} : { binding };
  const times = { timeoutSeconds, silenceSeconds, callSeconds };
  const spoken = transport === "sse" ? "legacy" : era;
  const only = spoken === "auto" ? {} : { era: spoken };
  const tasks = tasksOf(value["tasks"], check);
  return { urls, ...bound, headers, ...times, transport, ...only, forwardAuthorization, ...tasks };
}

function isEra(value: unknown): value is "legacy" | "modern" {
  return value === "legacy" || value === "modern";
}

const OWN_OPTIONS = ["server", "callSeconds", "tasks"];

function ownServerOf(
  { server, callSeconds = CALL_SECONDS, tasks, ...others }: Readonly<Record<string, unknown>>,
  check: Check,
): OwnServerSettings {
  check(server === true, "server must be a function, given to createHoldfast");
  const [other] = Object.keys(others);
  check(
    other === undefined,
    `has no option ${other} beside server; there are ${OWN_OPTIONS.join(", ")}`,
  );
  check(isDuration(callSeconds), `callSeconds must be ${RANGE}`);
  return { server, callSeconds, ...tasksOf(tasks, check) };
}

export const TASK_DEFAULTS: TaskSettings = {
  afterMs: 2000,
  ttlMs: 3_600_000,
  pollIntervalMs: 1000,
  required: [],
};

const TASK_OPTIONS = ["afterMs", "ttlSeconds", "pollIntervalMs", "required"];
/** Milliseconds: a client that waits longer for an answer gains little by a task. */
const LONGEST_AFTER_MS = 600_000;
const LONGEST_POLL_MS = 3_600_000;
/** Seconds. A week: a timer in JavaScript holds little more than three. */
const LONGEST_TASK_SECONDS = 7 * 86_400;

function tasksOf(value: unknown, check: Check): { readonly tasks?: TaskSettings } {
  if (value === undefined) return { tasks: TASK_DEFAULTS };
  if (value === false) return {};
  check(isObject(value), "tasks must be false or an object");
  const unknown = Object.keys(value).find((key) => !TASK_OPTIONS.includes(key));
  check(unknown === undefined, `tasks has no option ${unknown}; it has ${TASK_OPTIONS.join(", ")}`);
  const { ttlMs: ttl, ...defaults } = TASK_DEFAULTS;
  const { afterMs, ttlSeconds, pollIntervalMs, required } = {
    ...defaults,
    ttlSeconds: ttl / 1000,
    ...value,
  };
  const whole = (number: unknown, least: number, most: number): number is number =>
    Number.isInteger(number) && (number as number) >= least && (number as number) <= most;
  check(
    whole(afterMs, 0, LONGEST_AFTER_MS),
    `tasks.afterMs must be whole, from 0 to ${LONGEST_AFTER_MS}`,
  );
  check(
    typeof ttlSeconds === "number" && ttlSeconds >= 1 && ttlSeconds <= LONGEST_TASK_SECONDS,
    `tasks.ttlSeconds must be from 1 to ${LONGEST_TASK_SECONDS}`,
  );
  check(
    whole(pollIntervalMs, 1, LONGEST_POLL_MS),
    `tasks.pollIntervalMs must be whole, from 1 to ${LONGEST_POLL_MS}`,
  );
  check(
    Array.isArray(required) && required.every((name) => typeof name === "string"),
    "tasks.required must be a list of names of tools",
  );
  const ttlMs = Math.round(ttlSeconds * 1000);
  return { tasks: { afterMs, ttlMs, pollIntervalMs, required } };
}

function isDuration(value: unknown): value is number {
  if (typeof value !== "number") return false;
  return value >= SHORTEST_TIMEOUT_SECONDS && value <= LONGEST_TIMEOUT_SECONDS;
}

const A_CREDENTIAL_HEADER = "the name of a header that has no other meaning to MCP or HTTP";

/** Headers that the client sends for another purpose, so that their value is no credential. */
const OTHER_MEANING =
  /^(accept|access-control|cf|content|if|mcp|proxy|sec|x-forwarded)-|^(accept|connection|cookie|date|expect|forwarded|host|keep-alive|last-event-id|mcp-session-id|origin|range|referer|te|traceparent|tracestate|trailer|transfer-encoding|upgrade|user-agent|via)$/i;

function isCredentialHeader(value: unknown): value is string {
  // A text "true" means true, and no header has that name.
  if (typeof value !== "string" || /^(true|false)$/i.test(value)) return false;
  return HEADER_NAME.test(value) && !OTHER_MEANING.test(value);
}

function isUpstreamUrl(value: unknown): value is string {
  return typeof value === "string" && configuredUpstreamUrl(value).ok;
}

function isHeaders(value: unknown): value is Readonly<Record<string, string>> {
  if (!isObject(value)) return false;
  return Object.entries(value).every(
    ([name, text]) => HEADER_NAME.test(name) && typeof text === "string",
  );
}

/** Whether `Headers` and every server accept this value. */
export function isHeaderValue(text: string): boolean {
  return HEADER_VALUE.test(text);
}

/** Names of the environment that `UPSTREAMS` gives a meaning to: secrets and service bindings. Throws as `parseUpstreams`. */
export function namesInUpstreams(env: Environment<"UPSTREAMS">): string[] {
  const upstreams = parseUpstreams(text(env, "UPSTREAMS"));
  const bindings = Object.values(upstreams).flatMap((one) =>
    one !== "demo" && "binding" in one && one.binding !== undefined ? [one.binding] : [],
  );
  return [...secretNames(upstreams), ...bindings];
}

/** Names of the secrets that the headers refer to. */
export function secretNames(settings: UpstreamsSettings): string[] {
  return Object.values(settings)
    .flatMap((one) => (one === "demo" || "server" in one ? [] : Object.values(one.headers)))
    .filter((value) => value.startsWith("$"))
    .map((value) => value.slice(1));
}
