/**
 * MCP servers that are part of the Worker itself. The Worker's entry names them
 * before anything runs; the library names none, so that it depends on no MCP SDK.
 */
import type { RequestParts, Server } from "./upstream.ts";

/** It is given requests in their parts: to make one of them only to take it apart again costs more than many a call. */
export interface BuiltInServer extends Server {
  readonly send: (url: string, parts: RequestParts) => Promise<Response>;
}

const servers = new Map<string, () => BuiltInServer>();

export function provideServer(name: string, make: () => BuiltInServer): void {
  servers.set(name, make);
}

/** Undefined where the entry has not provided it. */
export function builtInServer(name: string): BuiltInServer | undefined {
  return servers.get(name)?.();
}
