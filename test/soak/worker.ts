/**
 * The service with two more routes. `POST /abort?session=ID` or `?shard=N` ends that object at once,
 * as the platform does when an object fails or moves. Its work is lost, its storage is not.
 * `GET /stored?session=ID&shard=N` shows all that a session's object has stored, and its row in that
 * shard. With `&names` it shows the names of both objects' files alone, and wakes neither.
 */
import service, {
  DirectoryObject as RealDirectory,
  SessionObject as RealSession,
} from "../../src/worker.ts";

const REASON = "aborted by the soak";

export class SessionObject extends RealSession {
  abort(): void {
    this.ctx.abort(REASON);
  }

  async stored() {
    const { storage } = this.ctx;
    return { alarm: await storage.getAlarm(), values: Object.fromEntries(storage.kv.list()) };
  }
}

export class DirectoryObject extends RealDirectory {
  abort(): void {
    this.ctx.abort(REASON);
  }

  async rowOf(id: string) {
    const { storage } = this.ctx;
    const rows = storage.sql.exec("SELECT * FROM entries WHERE id = ?", id).toArray();
    return { alarm: await storage.getAlarm(), rows };
  }
}

interface Bindings {
  readonly SESSIONS: DurableObjectNamespace<SessionObject>;
  readonly DIRECTORY: DurableObjectNamespace<DirectoryObject>;
}

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname !== "/abort" && pathname !== "/stored") return service.fetch(request);
    const session = searchParams.get("session");
    const { SESSIONS, DIRECTORY } = env as Bindings;
    const shard = DIRECTORY.getByName(`shard-${searchParams.get("shard")}`);
    if (pathname === "/stored") {
      const object = SESSIONS.getByName(session ?? "");
      if (searchParams.has("names")) {
        return Response.json({ session: object.id.toString(), shard: shard.id.toString() });
      }
      return Response.json({
        session: await object.stored(),
        shard: await shard.rowOf(session ?? ""),
      });
    }
    const stub = session === null ? shard : SESSIONS.getByName(session);
    try {
      await stub.abort();
    } catch {
      // The call fails, because it ends its own object.
      return new Response(null, { status: 204 });
    }
    return new Response("the object lives on", { status: 500 });
  },
} satisfies ExportedHandler;
