/** The Worker's entry: the fetch handler and the object classes. */
import { env, waitUntil } from "cloudflare:workers";
import { createApp } from "./app.ts";
import { createAccess } from "./auth/access.ts";
import { clientAddress, isFromThisMachine } from "./auth/peer.ts";
import type { RateLimitBinding } from "./auth/rate-limit.ts";
import { loadAuthSettings } from "./auth/settings.ts";
import { loadConfig } from "./config/service.ts";
import type { Environment } from "./config/env.ts";
import { drainRefusedBody } from "./http/drain-refused-body.ts";
import { OpenFiles } from "./http/open-files.ts";
import { directoryOf } from "./directory/client.ts";
import { DurableObjectHost } from "./session/object-host.ts";
import { DamagedObjects } from "./session/damaged-objects.ts";
import { StoredObjects } from "./session/stored-objects.ts";
import { createLogger, describeFailure } from "./logger.ts";
import type { SessionObject } from "./session/session-object.ts";
import { provideServer, openUpstreams, outboundOf } from "./gateway/upstream/open.ts";
import { demoServer } from "./gateway/demo/demo.ts";

export { DirectoryObject } from "./directory/directory-object.ts";
export { SessionObject } from "./session/session-object.ts";

interface Bindings extends Environment {
  readonly SESSIONS: DurableObjectNamespace<SessionObject>;
  readonly SUBJECT_LIMIT?: RateLimitBinding;
  readonly ADDRESS_LIMIT?: RateLimitBinding;
  /** The folder of the objects' storage. `npm run serve` binds it; Cloudflare has none. */
  readonly OBJECT_FILES?: Fetcher;
  /** The folder in which the system lists what the process has open, and how much that may be; likewise. */
  readonly OPEN_FILES?: Fetcher;
  readonly OPEN_FILES_LIMIT?: string;
  /** The folder of a file that is there while the disk has room; likewise. */
  readonly DISK_RESERVE?: Fetcher;
}

// wrangler.toml binds these. A bad variable throws here, before the Worker takes a request.
const bindings = env as unknown as Bindings;
const config = loadConfig(bindings);
const log = createLogger(config.logLevel);
const access = createAccess(loadAuthSettings(bindings), {
  fetch: outboundOf(bindings),
  addressOf: clientAddress,
  isFromThisMachine,
  waitUntil,
  subjectLimit: bindings.SUBJECT_LIMIT,
  addressLimit: bindings.ADDRESS_LIMIT,
  onKeysFailure: (failure) => log.warn("jwks.failed", { cause: describeFailure(failure) }),
});
provideServer("demo", demoServer);
const host = new DurableObjectHost(bindings.SESSIONS, {
  directory: directoryOf(bindings, config),
  maxSessionsPerSubject: config.maxSessionsPerSubject,
  stored: bindings.OBJECT_FILES && storedSessions(bindings.OBJECT_FILES, bindings.SESSIONS),
  damaged: bindings.OBJECT_FILES && damagedSessions(bindings.OBJECT_FILES, bindings.SESSIONS),
});
const { OPEN_FILES, DISK_RESERVE } = bindings;
const app = createApp(host, config, access, openUpstreams(config, bindings), {
  openFiles: OPEN_FILES && filesOf(OPEN_FILES),
  isDiskFull: DISK_RESERVE && (() => isWithoutReserve(DISK_RESERVE)),
});

function filesOf(folder: Fetcher): OpenFiles {
  return new OpenFiles({
    limit: Number(bindings.OPEN_FILES_LIMIT),
    async count() {
      const listed = await folder.fetch("http://files/");
      if (!listed.ok) throw new Error(`the list of open files answered ${listed.status}`);
      return (await listed.json<unknown[]>()).length;
    },
  });
}

async function isWithoutReserve(folder: Fetcher): Promise<boolean> {
  const { status } = await folder.fetch("http://reserve/room", { method: "HEAD" });
  return status === 404;
}

/** The files of the sessions' objects lie in a folder named by their class. */
function storedSessions(files: Fetcher, namespace: Bindings["SESSIONS"]): StoredObjects {
  return new StoredObjects({
    nameOf: (id) => namespace.idFromName(id).toString(),
    head: (file) => files.fetch(`http://files/SessionObject/${file}`, { method: "HEAD" }),
  });
}

function damagedSessions(files: Fetcher, namespace: Bindings["SESSIONS"]): DamagedObjects {
  return new DamagedObjects({
    nameOf: (id) => namespace.idFromName(id).toString(),
    empty: (file) => files.fetch(`http://files/${file}`, { method: "PUT", body: "" }),
    log,
  });
}

export default {
  fetch: async (request, _env, ctx) =>
    drainRefusedBody(request, await app.fetch(request, bindings, ctx)),
} satisfies ExportedHandler;
