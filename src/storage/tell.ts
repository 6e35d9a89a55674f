/**
 * Tells a user's callback of a problem. What it throws is dropped: it is called from
 * timers and events, where nobody could catch it and the process would end.
 */
export function tell<A extends unknown[]>(callback: (...args: A) => void, ...args: A): void {
  try {
    callback(...args);
  } catch {
    // There is nobody left to tell.
  }
}
