/** How much the objects ask of their storage, by kind of object. */
const NONE = {
  /** Constructor runs: the object was not in memory. */
  wakes: 0,
  /** Calls, upgrades, socket messages and alarms that reached an object. */
  requests: 0,
  rowsRead: 0,
  rowsWritten: 0,
  /** Each is billed as one row written. */
  alarmsSet: 0,
  /** From the first work since the last counts to the last, and `AWAKE_MS` after each. */
  secondsInMemory: 0,
};

/** Milliseconds that an idle object stays in memory. */
export const AWAKE_MS = 10_000;

export type Counts = typeof NONE;
export type Tally = ReturnType<typeof noCounts>;
export type Kind = keyof Tally;

export const KEYS = Object.keys(NONE) as readonly (keyof Counts)[];
export const noCounts = () => ({ sessions: { ...NONE }, directory: { ...NONE } });
