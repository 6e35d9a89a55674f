/**
 * Keeps what says why the directory and a session disagree, for a person to read: the session's files
 * and its shard's as they are on the disk, what both objects have stored, the session's history, the
 * faults, and the lines of the log. The auditor does not look at it.
 */
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ALARMS_FILE, objectsIn } from "../../scripts/object-folders.ts";
import { PROJECT } from "../../scripts/bundle.ts";
import { redactSessionId } from "../../src/core/id.ts";
import { placementOf } from "../../src/directory/placement.ts";
import type { WorkerServer } from "../../bench/servers.ts";
import type { Journal } from "./journal.ts";
import { SESSIONS } from "./traffic/sessions.ts";

/** Endings of the files of one database. `-shm` follows from the others. */
const ENDINGS = ["", "-wal"];

interface Subjects {
  readonly journal: Journal;
  readonly server: Pick<WorkerServer, "url" | "stateDir">;
  /** The lines of the service's log. */
  readonly lines: readonly string[];
  readonly shards: number;
}

/** The names of an object's file, and of its shard's, without their ending. */
interface Names {
  readonly session: string;
  readonly shard: string;
}

export class Evidence {
  readonly #subjects: Subjects;
  /** The folder of this soak; made with the first thing that is kept. */
  readonly folder: string;

  constructor(subjects: Subjects, parent = join(PROJECT, ".holdfast", "soak")) {
    this.#subjects = subjects;
    this.folder = join(parent, new Date().toISOString().replaceAll(":", "-"));
  }

  /** Keeps what concerns this session. `said` is the disagreement in words. */
  async keep(id: string, said: string): Promise<void> {
    const { journal, lines, shards } = this.#subjects;
    const at = new Date().toISOString();
    const folder = join(this.folder, id);
    mkdirSync(folder, { recursive: true });
    const asked = `/stored?session=${id}&shard=${placementOf(id, shards)}`;
    const names = (await this.#get(`${asked}&names`)) as Names;
    // Before the objects are asked: an object that wakes may change its files.
    this.#copy("SessionObject", names.session, folder);
    this.#copy("DirectoryObject", names.shard, folder);
    const stored = await this.#get(asked);
    const document = await this.#get(`/v1/sessions/${id}?touch=false`);
    const { startedAt, faults } = journal.timeline;
    const changes = journal.changesIn(SESSIONS).filter(({ record }) => record === id);
    const publishes = journal.publishes.filter(({ session }) => session === id);
    const about = { id, said, at, startedAt, names, stored, document, changes, publishes, faults };
    writeFileSync(join(folder, "session.json"), JSON.stringify(about, null, 2));
    const known = [id, redactSessionId(id), names.session];
    const naming = lines.filter((line) => known.some((name) => line.includes(name)));
    writeFileSync(join(folder, "lines.jsonl"), naming.join("\n"));
    writeFileSync(join(this.folder, "service.log"), lines.join("\n"));
  }

  #copy(className: string, name: string, folder: string): void {
    const objects = join(objectsIn(this.#subjects.server.stateDir), className);
    for (const file of [`${name}.sqlite`, ALARMS_FILE]) {
      for (const ending of ENDINGS) {
        const from = join(objects, file + ending);
        if (existsSync(from)) copyFileSync(from, join(folder, `${className}-${file}${ending}`));
      }
    }
  }

  async #get(path: string): Promise<unknown> {
    const response = await fetch(this.#subjects.server.url + path);
    const text = await response.text();
    return response.ok ? JSON.parse(text) : `${response.status} ${text}`;
  }
}
