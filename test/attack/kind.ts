/** One kind of attack, and what it may bring about. */
import type { FuzzClient } from "../support/fuzz/client.ts";
import type { Serving } from "./serving.ts";
import type { Tally } from "./tally.ts";

export interface Attack {
  readonly serving: Serving;
  readonly client: FuzzClient;
  readonly tally: Tally;
}

export interface Kind {
  /** As on the command line. */
  readonly name: string;
  /** In the table. */
  readonly title: string;
  readonly openFiles: number;
  readonly env?: Readonly<Record<string, string>>;
  /** MiB of the disk of its storage. Absent: it has none of its own. */
  readonly disk?: number;
  /** MiB that the process may take at its peak. */
  readonly mostMb: number;
  /** workerd may end, and is started again. */
  readonly mayEnd?: true;
  /** Attacks, and returns what went wrong beside its answers. */
  attack(attack: Attack): Promise<readonly string[]>;
}

/** Does `work` so many times, so many at a time. */
export async function times(
  count: number,
  together: number,
  work: (n: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(together, count) }, worker));
}

export const JSON_TYPE = { "content-type": "application/json" };
