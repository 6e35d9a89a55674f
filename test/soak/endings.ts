/** Ends something that was started. */
export type Ending = () => unknown;

/** Runs all endings, the last first, even if one fails. Then rejects with the first failure. */
export async function endAll(endings: readonly Ending[]): Promise<void> {
  const failures: unknown[] = [];
  for (const end of endings.toReversed()) {
    try {
      await end();
    } catch (failure) {
      failures.push(failure);
    }
  }
  if (failures.length > 0) throw failures[0];
}
