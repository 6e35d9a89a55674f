/** What the gateway's part of a session's object needs from the object itself. */
import type { OpenExchange } from "./exchange-table.ts";
import type { RequestId } from "../session/json-rpc.ts";
import type { Metadata } from "../session/host.ts";
import type { SharedTimer } from "../upstream/shared-timer.ts";

export interface GatewaySession {
  /** Made with the session: another epoch is another session. */
  readonly epoch: string;
  readonly metadata: Metadata;
}

export interface GatewayPort {
  /** The timer of all that the session's exchanges wait for. */
  readonly timer: SharedTimer;
  /** The session; null once it has expired or was deleted. Looking is no use. */
  session(): GatewaySession | null;
  /** Logs a message on a stream and sends it to the stream's reader. */
  append(stream: number, data: string): void;
  /** Sends a message to the stream's reader without logging it: the session is about to end. */
  sendLast(stream: number, data: string): void;
  /** No more comes on this stream: its reader is let go when it has been sent everything. */
  endStream(stream: number): void;
  beginExchange(owed: readonly RequestId[], standalone: boolean): OpenExchange;
  exchangeOwes(exchange: OpenExchange, owed: readonly RequestId[]): void;
  /** Resolves when no stream of the upstream's is being opened for a client that has just asked for it. */
  upstreamHeld(): Promise<void>;
  /** False: the session has no room for that. */
  saveMetadata(patch: Readonly<Record<string, string | null>>): boolean;
  /** An exchange has ended, and with it, perhaps, the use that kept the session alive. */
  exchangeEnded(): void;
}
