/**
 * The machine that the service runs on, as far as `npm run serve` shows it by bindings of its own.
 * Cloudflare has none of them but the pages, and in an app a binding of the same name would be something else. So
 * the project's own Worker alone looks for them.
 */
import { metricsRoute } from "../http/metrics.ts";
import type { Machine } from "../http/mount.ts";
import { OpenFiles } from "../http/open-files.ts";
import type { Logger } from "../logger.ts";
import { shardName } from "../directory/placement.ts";
import { DamagedObjects } from "../session/damaged-objects.ts";
import type { DurableObjectHostOptions } from "../session/object-host.ts";
import { StoredObjects } from "../session/stored-objects.ts";
import type { Bindings } from "./bindings.ts";

interface MachineBindings extends Bindings {
  /** The folder of the objects' storage. */
  readonly OBJECT_FILES?: Fetcher;
  /** The folder in which the system lists what the process has open, and how much that may be. */
  readonly OPEN_FILES?: Fetcher;
  readonly OPEN_FILES_LIMIT?: string;
  /** There if the service listens on an address that only this machine reaches. */
  readonly LOOPBACK_ONLY?: string;
  /** A folder with a file in it as long as the disk has room. */
  readonly DISK_RESERVE?: Fetcher;
  /** The folder of the pages; on Cloudflare the Worker's static assets. */
  readonly CONSOLE?: Fetcher;
}

/** The machine's files and limits, with the files of the objects' storage. */
export interface OwnMachine extends Machine {
  readonly stored?: DurableObjectHostOptions["stored"];
  readonly damaged?: DurableObjectHostOptions["damaged"];
  /** Whether every peer is on this machine, so that no request's peer has to be looked at. */
  readonly isAlone?: boolean;
}

export function machineOf(bindings: MachineBindings, log: Logger): OwnMachine {
  const { SESSIONS, OBJECT_FILES, OPEN_FILES, OPEN_FILES_LIMIT, DISK_RESERVE, CONSOLE } = bindings;
  const { LOOPBACK_ONLY } = bindings;
  return {
    stored: OBJECT_FILES && storedSessions(OBJECT_FILES, SESSIONS),
    damaged: OBJECT_FILES && damagedObjects(OBJECT_FILES, bindings, log),
    isAlone: LOOPBACK_ONLY !== undefined,
    openFiles: OPEN_FILES && filesOf(OPEN_FILES, Number(OPEN_FILES_LIMIT)),
    isDiskFull: DISK_RESERVE && (() => isWithoutReserve(DISK_RESERVE)),
    // Where the objects' files are, one process is the whole service.
    routes: OBJECT_FILES ? [metricsRoute()] : [],
    pages: CONSOLE && ((path) => CONSOLE.fetch(`http://console/${path}`)),
  };
}

function filesOf(folder: Fetcher, limit: number): OpenFiles {
  return new OpenFiles({
    limit,
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

function damagedObjects(
  files: Fetcher,
  { SESSIONS, DIRECTORY }: Bindings,
  log: Logger,
): DamagedObjects {
  return new DamagedObjects({
    nameOf: (id) => SESSIONS.idFromName(id).toString(),
    nameOfShard: (shard) => DIRECTORY?.idFromName(shardName(shard)).toString(),
    empty: (file) => files.fetch(`http://files/${file}`, { method: "PUT", body: "" }),
    log,
  });
}
