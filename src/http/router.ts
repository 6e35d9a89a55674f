/**
 * Finds the handlers of a request. Hono's fast router, one regular expression for
 * all paths, cannot hold a fixed segment beside a parameter (`/count` beside
 * `/:id`), and by itself Hono then takes its slow one for every path: a tenth of
 * what a read costs (profiled, November 2026). So the slow one is asked for those
 * paths alone.
 */
import { UnsupportedPathError, type Result, type Router } from "hono/router";
import { RegExpRouter } from "hono/router/reg-exp-router";
import { TrieRouter } from "hono/router/trie-router";

export class FastRouter<T> implements Router<T> {
  readonly name = "FastRouter";
  readonly #fast = new RegExpRouter<T>();
  readonly #slow = new TrieRouter<T>();
  /** Paths that the fast router does not hold. */
  readonly #refused = new Set<string>();

  /** Throws where a path with a parameter comes after a fixed one that stands in its place. */
  add(method: string, path: string, handler: T): void {
    this.#slow.add(method, path, handler);
    try {
      this.#fast.add(method, path, handler);
    } catch (failure) {
      const fixed = !path.includes(":") && !path.includes("*");
      if (!fixed || !(failure instanceof UnsupportedPathError)) throw failure;
      this.#refused.add(path);
    }
  }

  match(method: string, path: string): Result<T> {
    const router = this.#refused.has(path) ? this.#slow : this.#fast;
    return router.match(method, path);
  }
}
