/** What the service's code takes from JavaScript and an old Node lacks. */

/** Adds it. (Node 20.10 has no `URL.parse`.) */
export function fillInOldNode(): void {
  const platform = URL as { parse?: typeof URL.parse };
  platform.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);
}
