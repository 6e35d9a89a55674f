/**
 * The service with one more route: `POST /abort?session=ID` or `?shard=N` ends that object at once,
 * as the platform does when an object fails or moves. Its work is lost, its storage is not.
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
}

export class DirectoryObject extends RealDirectory {
  abort(): void {
    this.ctx.abort(REASON);
  }
}

interface Bindings {
  readonly SESSIONS: DurableObjectNamespace<SessionObject>;
  readonly DIRECTORY: DurableObjectNamespace<DirectoryObject>;
}

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname !== "/abort") return service.fetch(request);
    const session = searchParams.get("session");
    const { SESSIONS, DIRECTORY } = env as Bindings;
    const stub =
      session === null
        ? DIRECTORY.getByName(`shard-${searchParams.get("shard")}`)
        : SESSIONS.getByName(session);
    try {
      await stub.abort();
    } catch {
      // The call fails, because it ends its own object.
      return new Response(null, { status: 204 });
    }
    return new Response("the object lives on", { status: 500 });
  },
} satisfies ExportedHandler;
