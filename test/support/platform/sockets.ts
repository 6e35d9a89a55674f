/** The two ends of a WebSocket between a session's object and the Worker, in Node. */
import { vi } from "vitest";
import type { StreamSocket } from "../../../src/core/host.ts";

const [OPEN, CLOSING, CLOSED] = [1, 2, 3];

type Listener = (event: { data: unknown }) => void;

/** The Worker's end. It hears what came before `accept` after it. */
export class ClientSocket implements StreamSocket {
  binaryType = "arraybuffer";
  server!: ServerSocket;
  /** The code by which the object's side closed; undefined while it is open. */
  closedBy: number | undefined;
  readonly #listeners: [type: string, listener: Listener][] = [];
  #unheard: (() => void)[] | undefined = [];

  accept(): void {
    const unheard = this.#unheard ?? [];
    this.#unheard = undefined;
    for (const hear of unheard) hear();
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.push([type, listener]);
  }

  send(word: string): void {
    this.server.said(word);
  }

  close(code = 1005, reason = ""): void {
    this.server.leaves(code, reason);
  }

  hear(type: "message" | "close", data?: unknown): void {
    const act = () => {
      for (const [heard, listener] of this.#listeners) if (heard === type) listener({ data });
    };
    if (this.#unheard) this.#unheard.push(act);
    else act();
  }
}

/** The part of an object's host that a socket needs. */
export interface SocketOwner {
  /** Runs `act` once everything that the object has stored is durable. */
  onceDurable(act: () => void): void;
  /** The object hears a word, or that the socket has closed. */
  word(socket: ServerSocket, word: string): void;
  closed(socket: ServerSocket, code: number, reason: string): void;
}

/** The object's end, as the hibernation API has it: it outlives the object's memory. */
export class ServerSocket {
  readyState = OPEN;
  owner: SocketOwner | undefined;
  readonly tags: string[] = [];
  readonly client: ClientSocket;
  #attachment: unknown = null;

  constructor(client: ClientSocket) {
    this.client = client;
  }

  serializeAttachment(value: unknown): void {
    this.#attachment = structuredClone(value);
  }

  deserializeAttachment(): unknown {
    return structuredClone(this.#attachment);
  }

  send(message: string | Uint8Array): void {
    if (this.readyState !== OPEN) throw new TypeError("the socket is closed");
    const data = typeof message === "string" ? message : Uint8Array.from(message).buffer;
    this.owner?.onceDurable(() => this.client.hear("message", data));
  }

  close(code: number, reason = ""): void {
    if (this.readyState === CLOSED) throw new TypeError("the socket is closed");
    if (this.readyState === CLOSING) {
      this.readyState = CLOSED;
      return;
    }
    this.readyState = CLOSING;
    this.owner?.onceDurable(() => {
      this.client.closedBy = code;
      this.client.hear("close");
      this.owner?.closed(this, code, reason);
    });
  }

  /** The client's end says a word. */
  said(word: string): void {
    if (this.readyState === OPEN) this.owner?.word(this, word);
  }

  /** The client's end closes. */
  leaves(code: number, reason: string): void {
    if (this.readyState !== OPEN) return;
    this.readyState = CLOSING;
    this.owner?.closed(this, code, reason);
  }

  /** The object has died: the connection breaks. */
  breaks(): void {
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    this.client.closedBy ??= 1006;
    this.client.hear("close");
  }
}

/** A Response that may answer an upgrade. */
class UpgradeResponse extends Response {
  constructor(body?: BodyInit | null, init: ResponseInit = {}) {
    const { status, webSocket = null } = init;
    super(body, status === 101 ? {} : init);
    if (status !== 101) return;
    Object.defineProperties(this, { status: { value: status }, webSocket: { value: webSocket } });
  }
}

/** Gives Node what of sockets a session's object needs, until `vi.unstubAllGlobals`. `Pair` makes both ends of one. */
export function stubSockets(Pair: new () => object): void {
  vi.stubGlobal("Response", UpgradeResponse);
  vi.stubGlobal("WebSocketPair", Pair);
  vi.stubGlobal("WebSocket", { READY_STATE_OPEN: OPEN });
}
