/**
 * Remembers over restarts which eras the upstreams speak, and which of them ask without naming a call. An isolate
 * asks once for each upstream: before a request that may not be sent twice, while it does not know the upstream's
 * era, and before a call in which the upstream may ask.
 */
import type { Notes } from "../../core/host.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { asksAside, known, learn, learnAside } from "./speaks.ts";

const PREFIX = "era ";
const ASIDE = "aside ";

export class EraMemory {
  readonly #notes: Notes;
  /** By the name of the upstream. */
  readonly #asked = new Map<string, Promise<void>>();
  readonly #asides = new Map<string, Promise<void>>();
  /** By the name of the upstream: the server of which it is stored that it asks without naming a call. */
  readonly #stored = new Map<string, string>();

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

  /** Learns which server of the upstream asks without naming a call, if that is stored. Never rejects. */
  recallAside(upstream: Upstream): Promise<void> {
    const { name } = upstream;
    const asked = this.#asides.get(name) ?? this.#readAside(upstream);
    this.#asides.set(name, asked);
    return asked;
  }

  /** Stores which server of the upstream asks without naming a call, if one does. Never rejects. */
  async rememberAside(upstream: Upstream): Promise<void> {
    const server = asksAside(upstream);
    if (server === undefined || this.#stored.get(upstream.name) === server) return;
    this.#stored.set(upstream.name, server);
    try {
      const { at } = known(upstream);
      await this.#notes.write(ASIDE + upstream.name, JSON.stringify({ at, server }));
    } catch {
      // The next isolate learns it anew.
    }
  }

  async #readAside(upstream: Upstream): Promise<void> {
    try {
      const text = await this.#notes.read(ASIDE + upstream.name);
      if (text === undefined) return;
      // Only `rememberAside` writes there.
      const { at, server } = JSON.parse(text) as { readonly at: string; readonly server: string };
      // A server may have asked so while this was read, and that is newer.
      if (at !== known(upstream).at || asksAside(upstream) !== undefined) return;
      learnAside(upstream, server);
      this.#stored.set(upstream.name, server);
    } catch {
      // Its questions show it.
    }
  }

  async #recall(upstream: Upstream): Promise<void> {
    try {
      const text = await this.#notes.read(PREFIX + upstream.name);
      if (text === undefined) return;
      // Only `remember` writes there.
      const { at, modern, legacy } = JSON.parse(text) as ReturnType<typeof known>;
      const now = known(upstream);
      if (at !== now.at) return;
      // The server may have shown its era while this was read, and that is newer.
      if (modern !== undefined && now.modern === undefined) learn(upstream, "modern", modern);
      if (legacy !== undefined && now.legacy === undefined) learn(upstream, "legacy", legacy);
    } catch {
      // The upstream's answers show it.
    }
  }
}
