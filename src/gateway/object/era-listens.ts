/**
 * The `subscriptions/listen` of clients of the stateless revision, all on one session's standalone stream. The
 * object asks the upstream for the resources of all of them together.
 */
import { isObject, parseJson } from "../../wire/json.ts";
import type { ExchangeRequest, GatewaySession, Listen, ListenFilter } from "../contract.ts";
import { ACKNOWLEDGED, META } from "../eras/wire.ts";
import type { GatewayStreams } from "./streams.ts";
import type { UpstreamState } from "./upstream-state.ts";

type Headers = ExchangeRequest["headers"];

interface ListensParts {
  readonly streams: GatewayStreams;
  /** The server's description of itself, as JSON. */
  readonly server: () => string;
  /** Sends a request. Returns whether the upstream took it; never rejects. */
  readonly tell: (method: string, params: object, headers: Headers) => Promise<boolean>;
  readonly level: () => UpstreamState;
}

/** Requests that are sent at a time. */
const AT_A_TIME = 10;

interface Listening {
  readonly uris: readonly string[];
  readonly headers: Headers;
}

export class EraListens {
  readonly #parts: ListensParts;
  /** The clients since the object was loaded. The subscriptions of earlier ones last as long as the session. */
  readonly #listening = new Map<WebSocket, Listening>();

  constructor(parts: ListensParts) {
    this.#parts = parts;
  }

  /** Attaches a client, asks the upstream for all that it wants, and then acknowledges its request. */
  attach({ metadata }: GatewaySession, socket: WebSocket, listen: Listen): void {
    const server = parseJson(this.#parts.server());
    const { capabilities, serverInfo = {} } = isObject(server) ? server : {};
    const honored = honoredBy(capabilities, listen.filter);
    const { headers, id } = listen;
    this.#listening.set(socket, { uris: honored.resourceSubscriptions ?? [], headers });
    this.#parts.streams.attachListener(socket, metadata);
    void this.#acknowledge(socket, honored).then(() => {
      if (Object.keys(honored).length === 0) this.#finish(socket, id, serverInfo);
    });
  }

  /** A client has left. Gives up the resources that no other client listens to. */
  left({ metadata }: GatewaySession, socket: WebSocket): void {
    this.#parts.streams.holdUpstream(metadata);
    const gone = this.#listening.get(socket);
    this.#listening.delete(socket);
    if (!gone) return;
    const kept = new Set([...this.#listening.values()].flatMap(({ uris }) => uris));
    const unheard = gone.uris.filter((uri) => !kept.has(uri));
    void this.#each("unsubscribe", unheard, gone.headers);
  }

  async #acknowledge(socket: WebSocket, honored: ListenFilter): Promise<void> {
    const { streams } = this.#parts;
    await streams.upstreamHeld();
    const listening = this.#listening.get(socket);
    if (listening) await this.#each("subscribe", listening.uris, listening.headers);
    const params = JSON.stringify({ notifications: honored });
    streams.sayTo(socket, `{"jsonrpc":"2.0","method":"${ACKNOWLEDGED}","params":${params}}`);
  }

  /** There is nothing to listen to. */
  #finish(socket: WebSocket, id: Listen["id"], serverInfo: unknown): void {
    const { streams } = this.#parts;
    const info = JSON.stringify(serverInfo);
    const meta = `{"${META.subscriptionId}":${id},"${META.serverInfo}":${info}}`;
    const result = `{"resultType":"complete","_meta":${meta}}`;
    streams.sayTo(socket, `{"jsonrpc":"2.0","id":${id},"result":${result}}`);
    streams.dismiss(socket);
  }

  async #each(
    kind: "subscribe" | "unsubscribe",
    uris: readonly string[],
    headers: Headers,
  ): Promise<void> {
    const one = async (uri: string): Promise<void> => {
      const isTaken = await this.#parts.tell(`resources/${kind}`, { uri }, headers);
      if (isTaken) this.#parts.level().apply({ kind, uri });
    };
    for (let n = 0; n < uris.length; n += AT_A_TIME) {
      await Promise.all(uris.slice(n, n + AT_A_TIME).map(one));
    }
  }
}

/** The changes that a client asks for and that the server can report. */
function honoredBy(capabilities: unknown, filter: ListenFilter): ListenFilter {
  const can = (name: string, member: string) => {
    const one = isObject(capabilities) ? capabilities[name] : undefined;
    return isObject(one) && one[member] === true;
  };
  const { toolsListChanged, promptsListChanged, resourcesListChanged } = filter;
  const uris = can("resources", "subscribe") ? (filter.resourceSubscriptions ?? []) : [];
  return {
    ...(toolsListChanged && can("tools", "listChanged") && { toolsListChanged }),
    ...(promptsListChanged && can("prompts", "listChanged") && { promptsListChanged }),
    ...(resourcesListChanged && can("resources", "listChanged") && { resourcesListChanged }),
    ...(uris.length > 0 && { resourceSubscriptions: uris }),
  };
}
