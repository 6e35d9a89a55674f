/**
 * MCP servers that are part of the Worker itself. The Worker's entry names them
 * before anything runs; the library names none, so that it depends on no MCP SDK.
 */
import type { Answer, RequestParts } from "./upstream.ts";

export interface BuiltInServer {
  /** It is given requests in their parts: making one only to take it apart again costs more than many a call. */
  readonly send: (url: string, parts: RequestParts) => Promise<Answer>;
  /** Milliseconds that its slowest answer takes to begin. */
  readonly timeoutMs: number;
}

const servers = new Map<string, () => BuiltInServer>();

export function provideServer(name: string, make: () => BuiltInServer): void {
  servers.set(name, make);
}

/** Undefined where the entry has not provided it. */
export function builtInServer(name: string): BuiltInServer | undefined {
  return servers.get(name)?.();
}
