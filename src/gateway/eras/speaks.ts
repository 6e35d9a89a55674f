/**
 * Remembers which eras of MCP each upstream speaks: the one with sessions (`legacy`, to 2025-11-25), the
 * stateless one (`modern`, from 2026-07-28), or both. A request of an era that its upstream does not speak
 * needs the bridge. The operator may say it (`era` in UPSTREAMS); otherwise the upstream's answers teach it.
 * This memory is the isolate's.
 */
import type { Upstream } from "../upstream/upstream.ts";

export type Era = "legacy" | "modern";

/** Whether an upstream speaks each era; undefined: no answer has shown it yet. */
type Spoken = Partial<Record<Era, boolean>>;

/** By name and replicas, which the configuration bounds. */
const learnt = new Map<string, Spoken>();

function keyOf({ name, replicas }: Upstream): string {
  return JSON.stringify([name, ...replicas.map(({ url }) => url)]);
}

/** Whether the upstream speaks an era; undefined where nothing has shown it yet. */
export function speaks(upstream: Upstream, era: Era): boolean | undefined {
  if (upstream.era !== undefined) return upstream.era === era;
  return learnt.get(keyOf(upstream))?.[era];
}

/**
 * An answer of the upstream has shown whether it speaks an era. An answer about credentials (401, 403), a
 * limit or an outage shows nothing. Returns whether that is news.
 */
export function learn(upstream: Upstream, era: Era, does: boolean): boolean {
  if (upstream.era !== undefined) return false;
  const key = keyOf(upstream);
  const known = learnt.get(key) ?? {};
  if (known[era] === does) return false;
  learnt.set(key, { ...known, [era]: does });
  return true;
}

/** By upstream: the last server of it that has asked a client without naming a call, as it describes itself. */
const askingAside = new Map<string, string>();

/**
 * The server of the upstream that is known to ask without naming a call, as it describes itself; undefined: none is.
 * Another version of it need not do so.
 */
export function asksAside(upstream: Upstream): string | undefined {
  return askingAside.get(keyOf(upstream));
}

export function learnAside(upstream: Upstream, server: string): void {
  askingAside.set(keyOf(upstream), server);
}

/** The eras that an upstream has shown, and `at` which addresses. */
export function known(upstream: Upstream): Spoken & { readonly at: string } {
  const at = keyOf(upstream);
  return { ...learnt.get(at), at };
}
