/** Adds to an old Node the parts of JavaScript that it lacks and that the service's code uses. */

/** Adds it. (Node 20.10 has no `URL.parse`.) */
export function fillInOldNode(): void {
  const platform = URL as { parse?: typeof URL.parse };
  platform.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);
}
