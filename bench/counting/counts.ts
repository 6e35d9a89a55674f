/** What the objects are asked of their storage, by kind of object. */
export interface Counts {
  /** Constructor runs: an object that was not in memory. */
  wakes: number;
  /** Calls, upgrades, socket messages and alarms that reached an object. */
  requests: number;
  rowsRead: number;
  rowsWritten: number;
  /** Each is billed as one row written. */
  alarmsSet: number;
}

export const KINDS = ["sessions", "directory"] as const;
export type Kind = (typeof KINDS)[number];
export type Tally = Record<Kind, Counts>;

export function noCounts(): Tally {
  const none = { wakes: 0, requests: 0, rowsRead: 0, rowsWritten: 0, alarmsSet: 0 };
  return { sessions: { ...none }, directory: { ...none } };
}
