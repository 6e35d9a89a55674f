/** A TCP relay that fails as networks do: it cuts at a byte, is slow, goes silent, or stops reading. */
import { connect, createServer, type Server, type Socket } from "node:net";
import { SLOW_LINK_BYTES_PER_S } from "../../src/core/limits.ts";
import { listenOnLoopback } from "./listen.ts";

/**
 * Whether events after the first `bytes` may count as taken by a connection that was open for `ms`: a
 * quarter of a second after a slow link has carried them. A machine may hold this process up, and so the
 * end of a connection that nobody reads from any more. The next reader does not get what counts as taken.
 */
export const isHeldUp = (ms: number, bytes = 0): boolean =>
  ms >= 250 + (1000 * bytes) / SLOW_LINK_BYTES_PER_S;

/** A connection, and the one to the service that it is joined to. */
interface Pair {
  readonly sockets: readonly [client: Socket, upstream: Socket];
  /** Bytes of the answer to let through. With 0 the relay cuts the connection. */
  left: number;
}

export class SeveringRelay {
  readonly #server: Server;
  readonly #target: number;
  #port = 0;
  readonly #pairs = new Set<Pair>();
  /** Bytes of the next connection's answer to let through before it is cut; Infinity for all. */
  cutAfter = Infinity;
  /** The next connection is cut right after the part of its answer that matches this. */
  cutAt: RegExp | undefined;
  #cutOnceAt: RegExp | undefined;
  /** Bytes a second of the next connection's answer that the relay takes from the service. */
  bytesPerSecond = Infinity;
  connections = 0;
  /** The status of each answer that has begun, in that order. A test that fails shows them. */
  readonly statuses: number[] = [];
  /** Milliseconds for which the longest of the connections was open that the relay has cut. */
  longestCut = 0;
  /** Connections over which an answer has begun, and who waits until there is none. */
  readonly #answering = new Set<Socket>();
  #waiting: (() => void)[] = [];

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
    server.on("connection", (client) => this.#join(client));
  }

  /** Starts a relay to this port of the loopback; the caller closes it. */
  static async open(port: number): Promise<SeveringRelay> {
    const server = createServer({ allowHalfOpen: true });
    const relay = new SeveringRelay(server, port);
    relay.#port = await listenOnLoopback(server);
    return relay;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#pairs.size;
  }

  /** Resolves once no connection is open over which an answer has begun. */
  quiet(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#look();
    });
  }

  #look(): void {
    if (this.#answering.size > 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Cuts every connection at once, as a crashed host does. */
  cut(): void {
    for (const pair of this.#pairs) {
      pair.left = 0;
      for (const socket of pair.sockets) socket.resetAndDestroy();
    }
  }

  /** Cuts only the next connection, right after the part of its answer that matches `at`. */
  cutOnce(at: RegExp): void {
    this.#cutOnceAt = at;
  }

  /** Stops taking what the service sends, and keeps every connection open. */
  silence(): void {
    for (const { sockets } of this.#pairs) sockets[1].pause();
  }

  #join(client: Socket): void {
    this.connections++;
    const upstream = connect({ port: this.#target, host: "127.0.0.1", allowHalfOpen: true });
    const pair: Pair = { sockets: [client, upstream], left: this.cutAfter };
    this.#pairs.add(pair);
    const { bytesPerSecond } = this;
    let cutAt = this.#cutOnceAt ?? this.cutAt;
    this.#cutOnceAt = undefined;
    let seen = "";
    const began = performance.now();
    client.on("data", (data) => upstream.write(data));
    client.on("end", () => upstream.end());
    upstream.on("data", (data) => {
      this.#answering.add(upstream);
      for (const [, status] of data.toString("latin1").matchAll(/HTTP\/1\.1 (\d{3})/g))
        this.statuses.push(Number(status));
      if (cutAt) {
        const before = seen.length;
        seen += data.toString("latin1");
        const match = cutAt.exec(seen);
        if (match) {
          pair.left = match.index + match[0].length - before;
          // All that still comes is behind the cut.
          cutAt = undefined;
        }
      }
      const part = data.subarray(0, pair.left);
      pair.left -= part.length;
      client.write(part, () => {
        if (pair.left <= 0) client.resetAndDestroy();
      });
      if (bytesPerSecond === Infinity) return;
      upstream.pause();
      setTimeout(() => upstream.resume(), (1000 * data.length) / bytesPerSecond);
    });
    upstream.on("end", () => client.end());
    for (const [socket, other] of [pair.sockets, [upstream, client]] as const) {
      socket.on("error", () => other.destroy());
      socket.on("close", () => other.destroy());
    }
    upstream.on("close", () => {
      this.#pairs.delete(pair);
      this.#answering.delete(upstream);
      if (pair.left <= 0) this.longestCut = Math.max(this.longestCut, performance.now() - began);
      this.#look();
    });
  }
}
