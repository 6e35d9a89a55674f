/** Times and counts, as people read them. */

/** @example span(3_723_000) // "1 h 2 min 3 s" */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first === -1) return "0 s";
  return parts
    .slice(first, first + 3)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

/** An instant in the time of this machine. */
export function clock(instant: string): string {
  return new Date(instant).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" });
}

/** A count with its noun. @example many(1, "session") // "1 session" */
export function many(count: number, noun: string): string {
  return `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;
}

/** A rate with as many digits as say something. */
export function rate(perSecond: number): string {
  return perSecond >= 10 ? Math.round(perSecond).toLocaleString() : perSecond.toFixed(1);
}

/** Decodes a part of the page's address. Text that somebody typed may not be encoded; such text stays as it is. */
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
