/** Reads a stream up to an event that the test knows will come, so that no test waits for silence. */
import type { SseReader } from "./sse-reader.ts";

/** The data of the events that a reader saw, in order, through the event whose data is `last`; a gap as "gap". */
export async function readUntil(reader: SseReader, last: string): Promise<string[]> {
  const seen: string[] = [];
  for (;;) {
    const [frame] = await reader.take(1);
    if (!frame) return [...seen, "the stream ended"];
    seen.push(frame.event === "gap" ? "gap" : frame.data);
    if (frame.data === last) return seen;
  }
}

/** The id of the place where a stream starts: that of its first frame with an id. */
export async function startOf(reader: SseReader): Promise<string> {
  await reader.until(/^id: .*\n/m);
  return /^id: (.*)\n/m.exec(reader.text)?.[1] ?? "";
}

export function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, n) => String(from + n));
}
