import { vi } from "vitest";

/** Runs `work`, and returns everything that it notes or writes to the console. The console shows nothing of it. */
export async function writtenDuring(
  work: (note: (...line: unknown[]) => void) => Promise<void>,
): Promise<readonly unknown[]> {
  const written: unknown[] = [];
  const note = (...line: unknown[]) => void written.push(line);
  const spies = (["log", "info", "warn", "error", "debug"] as const).map((method) =>
    vi.spyOn(console, method).mockImplementation(note),
  );
  try {
    await work(note);
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return written;
}
