import type { Sessions } from "../../src/session/host.ts";
import type { SessionId } from "../../src/session/id.ts";
import type { SessionDirectory } from "../../src/storage/durable-object.ts";

/** Sessions whose ids are noted as they are written, and a directory that lists what was noted and still exists. */
export function recordingDirectory(sessions: Sessions): {
  readonly sessions: Pick<Sessions, "create" | "read" | "upsert" | "delete">;
  readonly directory: SessionDirectory;
} {
  const noted = new Set<SessionId>();
  const exists = async (id: SessionId) => {
    try {
      await sessions.read(id, false);
      return true;
    } catch {
      return false;
    }
  };
  const existing = async () => {
    const ids = [...noted].toSorted();
    const found = await Promise.all(ids.map(exists));
    return ids.filter((_id, i) => found[i]);
  };
  return {
    sessions: {
      create: (id, content) => sessions.create(noteIn(noted, id), content),
      upsert: (id, content, ifMatch) => sessions.upsert(noteIn(noted, id), content, ifMatch),
      read: (id, touch) => sessions.read(id, touch),
      delete: (id) => sessions.delete(id),
    },
    directory: {
      count: async () => (await existing()).length,
      async page({ cursor, limit }) {
        const rest = (await existing()).filter((id) => cursor === undefined || id > cursor);
        const ids = rest.slice(0, limit);
        const last = ids.at(-1);
        return rest.length > limit && last !== undefined ? { ids, cursor: last } : { ids };
      },
    },
  };
}

function noteIn(noted: Set<SessionId>, id: SessionId): SessionId {
  noted.add(id);
  return id;
}
