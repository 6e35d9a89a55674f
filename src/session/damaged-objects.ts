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
  /** Resolves if another object can be opened and can store more than a deletion does: then the storage as a whole is sound. */
  readonly probe: () => Promise<unknown>;
  /** Takes the object out of memory. */
  readonly abort: () => Promise<unknown>;
  /** Ends its session. */
  readonly remove: () => Promise<unknown>;
  /** Resolves when the directory no longer lists its session. */
  readonly unlist: () => Promise<unknown>;
}

/**
 * workerd says no more of storage that it cannot open or read. SQLite's codes, whichever they are, come
 * from storage that opened.
 */
const STORAGE_FAILURE = new RegExp(`internal error; reference|SQLITE_[A-Z]+|${UNREADABLE}`);

/** A full disk damages no file. */
const FULL = /SQLITE_FULL/;

export class DamagedObjects {
  readonly #parts: DamagedObjectsParts;

  constructor(parts: DamagedObjectsParts) {
    this.#parts = parts;
  }

  /** Logs where the storage of a session lies, if a call failed for it. */
  report(id: SessionId, failure: unknown): void {
    if (!isOfStorage(failure)) return;
    this.#parts.log.warn("storage.failed", { file: this.#fileOf(id) });
  }

  /** The same for a shard of the directory: an operator has to remove its file. */
  reportShard(shard: number, failure: unknown): void {
    const name = this.#parts.nameOfShard(shard);
    if (name === undefined || !STORAGE_FAILURE.test(String(failure))) return;
    this.#parts.log.warn("storage.failed", { file: `DirectoryObject/${name}.sqlite` });
  }

  /**
   * Ends a session whose deletion failed, if its storage is damaged and the storage of other objects is
   * sound. Returns whether it did. A full disk, or too many open files, would fail any object, and either may
   * pass at any moment. So the deletion is tried once more, and drops the file only if it fails between two
   * proofs that another object can store more than that.
   */
  async end(id: SessionId, failure: unknown, object: DamagedObject): Promise<boolean> {
    if (!mayBeDamage(failure) || !(await isSound(object))) return false;
    await forget(object);
    try {
      await object.remove();
      return true;
    } catch (again) {
      if (!mayBeDamage(again) || !(await isSound(object))) return false;
    }
    // First, since nothing will be left that could try again.
    await object.unlist();
    await forget(object);
    // One step, so that a failure leaves all or nothing: SQLite drops the log of a database that is empty.
    const { ok } = await this.#parts.empty(this.#fileOf(id));
    if (!ok) return false;
    // A request may have opened the old file meanwhile, and its object may have listed the session again.
    await forget(object);
    this.#parts.log.warn("storage.dropped", { file: this.#fileOf(id) });
    await object.unlist();
    // Fails if the new file cannot be opened.
    await object.remove();
    return true;
  }

  #fileOf(id: SessionId): string {
    return `SessionObject/${this.#parts.nameOf(id)}.sqlite`;
  }
}

function isSound({ probe }: DamagedObject): Promise<boolean> {
  return probe().then(
    () => true,
    () => false,
  );
}

/** The call fails, because it ends its own object. */
async function forget({ abort }: DamagedObject): Promise<void> {
  await abort().catch(() => undefined);
}

function isOfStorage(failure: unknown): failure is UnavailableError {
  return failure instanceof UnavailableError && STORAGE_FAILURE.test(String(failure.cause));
}

function mayBeDamage(failure: unknown): boolean {
  return isOfStorage(failure) && !FULL.test(String(failure.cause));
}
