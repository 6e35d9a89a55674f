import type { Storage } from "../../src/library/storage/storage.ts";

export interface OpenedStorage {
  readonly storage: Storage;
  /** Lets this much time pass in which nobody uses the session. */
  age(id: string, ms: number): Promise<void>;
}

/** Opens a storage that is empty and whose sessions live `ttlMs` after their last use. */
export type OpenStorage = (ttlMs: number) => Promise<OpenedStorage>;
