/**
 * Tells which ids no session can have, without waking an object for each. An object in memory costs
 * 240 KiB and three open files, and plain workerd makes a file of 4 KiB for any object that is
 * asked anything (measured). So where the objects' files can be looked at, an id without a file is
 * asked of one object that stands for them all.
 *
 * A session is stored before its create is answered, so an id without a file has none.
 */
import type { SessionId } from "../core/id.ts";

/** The name of the object that stands for every id without a session. It is no UUID, so no session has it. */
export const NOBODY = "nobody";

/** Ids that this remembers at least: it looks once for a session that is used often. */
const REMEMBERED = 5_000;

interface ObjectFiles {
  /** The name under which workerd stores the object of a session: its id in hex. */
  readonly nameOf: (id: SessionId) => string;
  /** Asks the folder of the objects of one class for a file's head. */
  readonly head: (file: string) => Promise<{ readonly status: number }>;
}

export class StoredObjects {
  readonly #files: ObjectFiles;
  /** Ids whose object has a file, in two generations: the older one is dropped when the newer is full. */
  #newer = new Set<SessionId>();
  #older = new Set<SessionId>();
  /** Whether a file has been seen. */
  #isTrusted = false;
  /** An id without a file whose own object was asked, so that it has a file from then on. */
  #asked: SessionId | undefined;

  constructor(files: ObjectFiles) {
    this.#files = files;
  }

  /** The name of the object to ask about this id: the id, or `NOBODY` if it has no session. */
  addressOf(id: SessionId): string | Promise<string> {
    if (this.#newer.has(id)) return id;
    if (!this.#older.has(id)) return this.#find(id);
    this.remember(id);
    return id;
  }

  /** The id has an object from now on. */
  remember(id: SessionId): void {
    if (this.#newer.size >= REMEMBERED) {
      this.#older = this.#newer;
      this.#newer = new Set();
    }
    this.#newer.add(id);
  }

  async #find(id: SessionId): Promise<string> {
    try {
      const status = await this.#statusOf(id);
      if (status === 200) {
        this.#isTrusted = true;
        this.remember(id);
      }
      if (status === 404 && (await this.#mayBeTrusted(id))) return NOBODY;
    } catch {
      // The object itself knows.
    }
    return id;
  }

  /**
   * Whether an object that was asked has a file where it is looked for. Otherwise the folder is laid
   * out in another way, and every session would seem to be none. If no file has been seen yet,
   * `id` is asked itself, so that it has one when the next id is looked for.
   */
  async #mayBeTrusted(id: SessionId): Promise<boolean> {
    if (!this.#isTrusted && this.#asked !== undefined) {
      this.#isTrusted = (await this.#statusOf(this.#asked)) === 200;
    }
    if (!this.#isTrusted) this.#asked = id;
    return this.#isTrusted;
  }

  async #statusOf(id: SessionId): Promise<number> {
    const { nameOf, head } = this.#files;
    return (await head(`${nameOf(id)}.sqlite`)).status;
  }
}
