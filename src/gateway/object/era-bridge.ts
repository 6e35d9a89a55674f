/**
 * A session's side of the bridge to servers of the stateless era: what its client has said of itself, what the
 * client has asked for to last, and the senders that make of both the requests of that era.
 */
import { GATEWAY_KEYS, type Metadata } from "../../core/content.ts";
import type { GatewaySession, SessionAccess } from "../contract.ts";
import { modernServer, type ModernParts } from "../eras/modern-server.ts";
import { clientIn, listenRequest, ToolHeaders, type ClientSide } from "../eras/requests.ts";
import { isBridgedSid } from "../eras/wire.ts";
import { bindingOf, type Binding } from "../upstream/handshake.ts";
import type { Upstream, Upstreams } from "../upstream/upstream.ts";
import type { UpstreamState, Change } from "./upstream-state.ts";

interface EraBridgeParts {
  readonly session: SessionAccess;
  readonly state: () => UpstreamState;
  /** Makes the bridge in the Worker listen anew. Resolves when it does. */
  readonly followSubscription: (metadata: Metadata) => Promise<void>;
  /** Bytes of one message. */
  readonly maxBytes: number;
}

export class EraBridge {
  readonly #parts: EraBridgeParts;
  readonly #tools = new ToolHeaders();
  /** The session's client, by the initialize request that describes it. */
  #client: { readonly initBody: string; readonly said: Omit<ClientSide, "level"> } | undefined;

  constructor(parts: EraBridgeParts) {
    this.#parts = parts;
  }

  /** The upstreams, with a sender to those that may speak the stateless revision alone. */
  over(upstreams: Upstreams): Upstreams {
    const parts: ModernParts = {
      client: () => this.#clientIn(this.#metadata),
      agreed: (initBody) => {
        const { initBody: stored, version } = bindingOf(this.#metadata ?? {});
        return stored === initBody ? version : undefined;
      },
      change: (change) => this.#change(change),
      tools: this.#tools,
      maxBytes: this.#parts.maxBytes,
    };
    const all = [...upstreams].map(([name, upstream]): readonly [string, Upstream] => {
      if (upstream.era === "legacy" || upstream.listensInObject) return [name, upstream];
      const replicas = upstream.replicas.map((one) => ({
        ...one,
        modern: modernServer(one.send, parts),
      }));
      return [name, { ...upstream, replicas }];
    });
    return new Map(all);
  }

  /** A result of the server: a list of tools names the headers of their calls. */
  heard(text: string): void {
    this.#tools.learn(text);
  }

  /** The capabilities of the session's client. */
  get capabilities(): ClientSide["capabilities"] {
    return this.#clientIn(this.#metadata)?.capabilities ?? {};
  }

  /** The session's upstream session. */
  get binding(): Binding {
    return bindingOf(this.#metadata ?? {});
  }

  /** Whether the session's upstream speaks the stateless era alone. */
  get isBridged(): boolean {
    return isBridgedSid(this.binding.sid);
  }

  /** The request that opens the upstream's stream; undefined where a GET does. */
  subscription(metadata: Metadata): string | undefined {
    if (!isBridgedSid(bindingOf(metadata).sid)) return undefined;
    const client = this.#clientIn(metadata);
    return client && listenRequest(client, this.#parts.state().uris);
  }

  /** Stores a lasting request to the server. Returns whether there is room for it. */
  async #change(change: Change): Promise<boolean> {
    const state = this.#parts.state();
    const isNews = state.apply(change);
    if (change.kind === "level") return state.level === change.level;
    const metadata = this.#metadata;
    if (isNews && metadata) await this.#parts.followSubscription(metadata);
    return change.kind === "unsubscribe" || state.uris.includes(change.uri);
  }

  get #metadata(): Metadata | undefined {
    return this.#parts.session()?.metadata;
  }

  #clientIn(metadata: Metadata | undefined): ClientSide | undefined {
    if (!metadata) return undefined;
    const initBody = bindingOf(metadata).initBody ?? "";
    if (this.#client?.initBody !== initBody) this.#client = { initBody, said: clientIn(initBody) };
    return { ...this.#client.said, level: this.#parts.state().level };
  }
}

/** Whether the session carries clients of the stateless revision. */
export function isEra({ metadata }: GatewaySession): boolean {
  return metadata[GATEWAY_KEYS.era] !== undefined;
}
