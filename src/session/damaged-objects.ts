/**
 * Names the file of an object whose storage fails, and deletes one that is damaged. Such an object
 * cannot run, so it can neither answer nor end its session. Plain workerd alone has files.
 */
import { UnavailableError } from "../core/errors.ts";
import type { SessionId } from "../core/id.ts";
import type { Logger } from "../logger.ts";
import { UNREADABLE } from "./record.ts";

interface DamagedObjectsParts {
  /** The name under which workerd stores the object of a session: its id in hex. */
  readonly nameOf: (id: SessionId) => string;
  /** The same for a shard of the directory; undefined where there is no directory. */
  readonly nameOfShard: (shard: number) => string | undefined;
  /** Puts an empty file in the place of one in the folder of the objects. */
  readonly empty: (file: string) => Promise<{ readonly ok: boolean }>;
  readonly log: Logger;
}

interface DamagedObject {
  /** Resolves if an object that was never asked before can be opened: then the storage as a whole is sound. */
  readonly probe: () => Promise<unknown>;
  /** Takes the object out of memory. */
  readonly abort: () => Promise<unknown>;
}

/** The write-ahead log is emptied first: SQLite would restore a session from a log without a database. */
const ENDINGS = [".sqlite-wal", ".sqlite", ".sqlite-shm"];

/**
 * workerd says no more of storage that it cannot open or read. SQLite's codes, whichever they are, come
 * from storage that opened.
 */
const STORAGE_FAILURE = new RegExp(`internal error; reference|SQLITE_[A-Z]+|${UNREADABLE}`);

export class DamagedObjects {
  readonly #parts: DamagedObjectsParts;

  constructor(parts: DamagedObjectsParts) {
    this.#parts = parts;
  }

  /** Logs where the storage of a session lies, if a call failed for it. */
  report(id: SessionId, failure: unknown): void {
    if (!isOfStorage(failure)) return;
    this.#parts.log.warn("storage.failed", { file: this.#fileOf(id, ".sqlite") });
  }

  /** The same for a shard of the directory: an operator has to remove its file. */
  reportShard(shard: number, failure: unknown): void {
    const name = this.#parts.nameOfShard(shard);
    if (name === undefined || !STORAGE_FAILURE.test(String(failure))) return;
    this.#parts.log.warn("storage.failed", { file: `DirectoryObject/${name}.sqlite` });
  }

  /**
   * Drops the files of a session whose deletion failed, if its storage is damaged and the storage of
   * other objects is sound. Returns whether it did. A full disk, or too many open files, would fail any object.
   */
  async drop(id: SessionId, failure: unknown, object: DamagedObject): Promise<boolean> {
    if (!isOfStorage(failure)) return false;
    try {
      await object.probe();
    } catch {
      return false;
    }
    await object.abort().catch(() => undefined);
    for (const ending of ENDINGS) {
      const { ok } = await this.#parts.empty(this.#fileOf(id, ending));
      if (!ok) return false;
    }
    // A request may have opened the old files meanwhile.
    await object.abort().catch(() => undefined);
    this.#parts.log.warn("storage.dropped", { file: this.#fileOf(id, ".sqlite") });
    return true;
  }

  #fileOf(id: SessionId, ending: string): string {
    return `SessionObject/${this.#parts.nameOf(id)}${ending}`;
  }
}

function isOfStorage(failure: unknown): boolean {
  return failure instanceof UnavailableError && STORAGE_FAILURE.test(String(failure.cause));
}
