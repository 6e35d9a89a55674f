import type { SessionEntry, SessionHost } from "../../src/session/host.ts";
import type { SessionId } from "../../src/session/id.ts";

/**
 * Sessions whose ids are noted as they are written, and that are listed from those
 * notes: at once and of one test alone, which the directory of all is not.
 */
export function withRecordingDirectory(sessions: SessionHost): SessionHost {
  const noted = new Set<SessionId>();
  const existing = async (): Promise<SessionEntry[]> => {
    const views = [...noted].map((id) => sessions.read(id, false).catch(() => undefined));
    const found = (await Promise.all(views)).filter((view) => view !== undefined);
    return found.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  };
  return Object.assign(Object.create(sessions) as SessionHost, {
    create: (...args: Parameters<SessionHost["create"]>) => {
      noted.add(args[0]);
      return sessions.create(...args);
    },
    upsert: (...args: Parameters<SessionHost["upsert"]>) => {
      noted.add(args[0]);
      return sessions.upsert(...args);
    },
    read: (...args: Parameters<SessionHost["read"]>) => sessions.read(...args),
    delete: (id: SessionId) => sessions.delete(id),
    count: async () => ({ count: (await existing()).length }),
    list: async ({ cursor, limit }: Parameters<SessionHost["list"]>[0]) => {
      const rest = (await existing()).filter(({ id }) => cursor === undefined || id > cursor);
      const page = rest.slice(0, limit);
      const last = page.at(-1);
      return rest.length > limit && last ? { sessions: page, cursor: last.id } : { sessions: page };
    },
  });
}
