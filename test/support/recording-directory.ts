import type { SessionEntry } from "../../src/core/host.ts";
import type { ListedSessions } from "../../src/library/storage/durable-object.ts";
import { SessionError } from "../../src/core/errors.ts";
import { parseSessionId, type SessionId } from "../../src/core/id.ts";

/**
 * Sessions whose ids are noted as they are written, and that are listed from those
 * notes: at once and of one test alone, which the directory of all is not.
 */
export function withRecordingDirectory(sessions: ListedSessions): ListedSessions {
  const noted = new Set<SessionId>();
  const existing = async (): Promise<SessionEntry[]> => {
    const views = [...noted].map((id) => sessions.read(id, false).catch(() => undefined));
    const found = (await Promise.all(views)).filter((view) => view !== undefined);
    return found.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  };
  return {
    create: (...args: Parameters<ListedSessions["create"]>) => {
      noted.add(args[0]);
      return sessions.create(...args);
    },
    upsert: (...args: Parameters<ListedSessions["upsert"]>) => {
      noted.add(args[0]);
      return sessions.upsert(...args);
    },
    read: (...args: Parameters<ListedSessions["read"]>) => sessions.read(...args),
    delete: (...args: Parameters<ListedSessions["delete"]>) => sessions.delete(...args),
    count: async () => ({ count: (await existing()).length }),
    list: async ({ cursor, limit }: Parameters<ListedSessions["list"]>[0]) => {
      if (cursor !== undefined && parseSessionId(cursor) === undefined)
        throw new SessionError("invalid_request");
      const rest = (await existing()).filter(({ id }) => cursor === undefined || id > cursor);
      const page = rest.slice(0, limit);
      const last = page.at(-1);
      return rest.length > limit && last ? { sessions: page, cursor: last.id } : { sessions: page };
    },
  };
}
