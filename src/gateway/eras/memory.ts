/**
 * Remembers over restarts which eras the upstreams speak. An isolate asks once for each upstream, before it sends
 * a request that may not be sent twice, while it does not know the upstream's era.
 */
import type { Notes } from "../../core/host.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { known, learn } from "./speaks.ts";

const PREFIX = "era ";

export class EraMemory {
  readonly #notes: Notes;
  /** By the name of the upstream. */
  readonly #asked = new Map<string, Promise<void>>();

  constructor(notes: Notes) {
    this.#notes = notes;
  }

  /** Learns what was remembered of an upstream. Never rejects. */
  recall(upstream: Upstream): Promise<void> {
    const asked = this.#asked.get(upstream.name) ?? this.#recall(upstream);
    this.#asked.set(upstream.name, asked);
    return asked;
  }

  /** Stores what the gateway has learnt of an upstream. Never rejects. */
  async remember(upstream: Upstream): Promise<void> {
    try {
      await this.#notes.write(PREFIX + upstream.name, JSON.stringify(known(upstream)));
    } catch {
      // The next isolate learns it anew.
    }
  }

  async #recall(upstream: Upstream): Promise<void> {
    try {
      const text = await this.#notes.read(PREFIX + upstream.name);
      if (text === undefined) return;
      // Only `remember` writes there.
      const { at, modern, legacy } = JSON.parse(text) as ReturnType<typeof known>;
      if (at !== known(upstream).at) return;
      if (modern !== undefined) learn(upstream, "modern", modern);
      if (legacy !== undefined) learn(upstream, "legacy", legacy);
    } catch {
      // The upstream's answers show it.
    }
  }
}
