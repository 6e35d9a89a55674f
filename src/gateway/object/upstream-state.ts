/**
 * Keeps the lasting requests of the client to its upstream session: a log level, and updates of resources.
 * The link sends the same requests to a new upstream session in place of a lost one.
 */
import type { Outcome } from "../../core/errors.ts";
import { isObject, parseJson } from "../../wire/json.ts";
import type { ExchangeAnswer, ExchangeRequest } from "../contract.ts";
import { messagesIn } from "../json-rpc.ts";
import { call } from "../upstream/call.ts";
import type { Handshake } from "../upstream/handshake.ts";
import type { Upstream } from "../upstream/upstream.ts";

export type Change =
  | { readonly kind: "level"; readonly level: string }
  | { readonly kind: "subscribe" | "unsubscribe"; readonly uri: string };

interface Stored {
  readonly level?: string;
  readonly uris: readonly string[];
}

const STORED = "upstream-state";
const NOTHING: Stored = { uris: [] };

/** UTF-16 units of all requests that are remembered: a stored value holds 2 MB, and each request is sent again. */
const MOST_UNITS = 64 * 1024;
const MOST_URIS = 1000;
/** Requests that are sent at a time: a call waits until all are answered. */
const AT_A_TIME = 10;

/** The changes that a body asks for, to be kept if the upstream agrees. Most bodies are not parsed for it. */
export function changesIn(body: string): Change[] {
  if (!body.includes("setLevel") && !body.includes("subscribe")) return [];
  const value = parseJson(body);
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  return all.flatMap((one) => changeIn(one) ?? []);
}

function changeIn(value: unknown): Change | undefined {
  if (!isObject(value) || !isObject(value["params"])) return undefined;
  const { level, uri } = value["params"];
  switch (value["method"]) {
    case "logging/setLevel":
      return typeof level === "string" ? { kind: "level", level } : undefined;
    case "resources/subscribe":
      return typeof uri === "string" ? { kind: "subscribe", uri } : undefined;
    case "resources/unsubscribe":
      return typeof uri === "string" ? { kind: "unsubscribe", uri } : undefined;
    default:
      return undefined;
  }
}

/** The state after a change; undefined where there is no room for it, or nothing changes. */
export function changed(stored: Stored, change: Change): Stored | undefined {
  const others = change.kind === "level" ? [] : stored.uris.filter((uri) => uri !== change.uri);
  const next: Stored =
    change.kind === "level"
      ? { ...stored, level: change.level }
      : { ...stored, uris: change.kind === "subscribe" ? [...others, change.uri] : others };
  const units = next.uris.reduce((sum, { length }) => sum + length, next.level?.length ?? 0);
  const fits = next.uris.length <= MOST_URIS && units <= MOST_UNITS;
  const isNews = next.level !== stored.level || next.uris.length !== stored.uris.length;
  return fits && isNews ? next : undefined;
}

export class UpstreamState {
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** The upstream has agreed to a change. Returns whether that is news. */
  apply(change: Change): boolean {
    const next = changed(this.#stored, change);
    if (next) this.#storage.kv.put(STORED, next);
    return next !== undefined;
  }

  /** Undefined: the client has asked for none. */
  get level(): string | undefined {
    return this.#stored.level;
  }

  /** The resources whose updates the client wants. */
  get uris(): readonly string[] {
    return this.#stored.uris;
  }

  /** Forgets everything: the client has initialized again. */
  clear(): void {
    if (this.#stored !== NOTHING) this.#storage.kv.delete(STORED);
  }

  /** The requests that bring another upstream session to the same state. */
  get requests(): string[] {
    const { level, uris } = this.#stored;
    const calls = uris.map((uri) => ["resources/subscribe", { uri }] as const);
    const all = level === undefined ? calls : [["logging/setLevel", { level }] as const, ...calls];
    return all.map(([method, params], n) =>
      JSON.stringify({ jsonrpc: "2.0", id: `holdfast-state-${n}`, method, params }),
    );
  }

  /** Remembers a lasting request of the client, such as a log level, once the upstream has agreed to it. */
  remember(
    { initialize, body }: Pick<ExchangeRequest, "initialize" | "body">,
    answer: Promise<Outcome<ExchangeAnswer>>,
  ): void {
    if (initialize) return this.clear();
    const changes = changesIn(body);
    if (changes.length === 0) return;
    void answer.then((outcome) => {
      // Requests that are answered on a stream, or in a batch, count as agreed to: asked again, they can only be refused again.
      if (outcome.ok && outcome.value.kind !== "failed" && !isError(outcome.value)) {
        for (const change of changes) this.apply(change);
      }
    });
  }

  get #stored(): Stored {
    return this.#storage.kv.get<Stored>(STORED) ?? NOTHING;
  }
}

/** Sends the requests. A refusal is ignored: the session works without. Never rejects. */
export async function restate(
  upstream: Upstream,
  { replica, sid, version }: Handshake,
  headers: Readonly<Record<string, string>>,
  requests: readonly string[],
): Promise<void> {
  const send = async (body: string): Promise<void> =>
    (await call(upstream, replica, { method: "POST", body, sid, version, headers })).discard();
  try {
    for (let n = 0; n < requests.length; n += AT_A_TIME) {
      await Promise.all(requests.slice(n, n + AT_A_TIME).map(send));
    }
  } catch {
    // The request that waits for this is sent all the same.
  }
}

/** Whether an answer is a JSON-RPC error. */
function isError(answer: ExchangeAnswer): boolean {
  if (answer.kind !== "json") return false;
  const [first, ...others] = messagesIn(answer.body);
  return others.length === 0 && first?.message.kind === "response" && "error" in first.message;
}
