/** What ends something that was started. */
export type Ending = () => unknown;

/**
 * Ends everything, what was started last first. One that fails keeps the others from nothing;
 * rejects with the first failure when all are done.
 */
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
