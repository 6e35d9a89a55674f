/** Hooks that the components share: the time, the address, and work that repeats while the page is seen. */
import { useEffect, useRef, useState } from "preact/hooks";

/** The time in milliseconds since the epoch, anew each second. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** The part of the address after `#`. */
export function useHash(): string {
  const [hash, setHash] = useState(location.hash.slice(1));
  useEffect(() => {
    const take = () => setHash(location.hash.slice(1));
    addEventListener("hashchange", take);
    return () => removeEventListener("hashchange", take);
  }, []);
  return hash;
}

/**
 * Does the work now, and again `ms` milliseconds after each time that it was done, while the page is
 * visible. `keys`: begins anew when one of them changes. The work must not throw.
 */
export function useRepeated(
  ms: number,
  keys: readonly unknown[],
  work: (signal: AbortSignal) => Promise<void>,
): void {
  const latest = useRef(work);
  latest.current = work;
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isAtWork = false;
    const turn = async () => {
      if (isAtWork || document.hidden || stop.signal.aborted) return;
      isAtWork = true;
      clearTimeout(timer);
      await latest.current(stop.signal);
      isAtWork = false;
      if (!stop.signal.aborted) timer = setTimeout(() => void turn(), ms);
    };
    const seen = () => void turn();
    document.addEventListener("visibilitychange", seen);
    void turn();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, keys);
}
