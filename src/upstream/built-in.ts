/**
 * MCP servers that are part of the Worker itself. The Worker's entry names them
 * before anything runs; the library names none, so that it depends on no MCP SDK.
 */
import type { Server } from "./upstream.ts";

const servers = new Map<string, () => Server>();

export function provideServer(name: string, make: () => Server): void {
  servers.set(name, make);
}

/** Undefined where the entry has not provided it. */
export function builtInServer(name: string): Server | undefined {
  return servers.get(name)?.();
}
