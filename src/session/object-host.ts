/** The session host of the Worker: each session is a Durable Object, found by its id. */
import { CALL_VERSION, type Caller } from "../core/caller.ts";
import { UnavailableError } from "../core/errors.ts";
import type { ListQuery, SessionDocument, SessionFilter, Sessions } from "../core/host.ts";
import { Admission } from "../directory/admission.ts";
import type { DirectoryClient } from "../directory/client.ts";
import type { GatewayHost, GatewaySessions } from "../gateway/contract.ts";
import {
  CallerSessions,
  DOCUMENT,
  VIEW,
  type HostParts,
  type Namespace,
  type SessionStub,
  type Shape,
} from "./caller-sessions.ts";
import { unlessOlder } from "./attempts.ts";
import { RefusalTime, withPaddedRefusals } from "./refusal-timing.ts";
import type { DamagedObjects } from "./damaged-objects.ts";
import type { StoredObjects } from "./stored-objects.ts";

export interface DurableObjectHostOptions {
  /** Without it nothing can be listed, counted or revoked, and no limit holds. */
  readonly directory?: DirectoryClient | undefined;
  /** How many sessions a subject may have at a time; 0, the default: no limit. */
  readonly maxSessionsPerSubject?: number;
  /** Tells which ids have no session without waking an object. Absent: the host asks the object of each id. */
  readonly stored?: StoredObjects | undefined;
  /** Handles objects whose file is damaged. Absent: the objects have no files that this process can reach. */
  readonly damaged?: DamagedObjects | undefined;
}

export class DurableObjectHost implements GatewayHost {
  readonly #parts: HostParts;
  readonly #refusalTime = new RefusalTime();

  constructor(
    namespace: Namespace,
    { directory, maxSessionsPerSubject = 0, stored, damaged }: DurableObjectHostOptions = {},
  ) {
    const admission =
      directory && maxSessionsPerSubject > 0
        ? new Admission(directory, maxSessionsPerSubject)
        : undefined;
    this.#parts = { namespace, admission, directory, stored, damaged };
  }

  get notes() {
    return this.#parts.directory?.notes;
  }

  as(caller: Caller): GatewaySessions {
    return this.#sessionsOf(caller, VIEW);
  }

  documents(caller: Caller): Sessions<SessionDocument> {
    return this.#sessionsOf(caller, DOCUMENT);
  }

  async list(query: ListQuery) {
    return this.#listing().list(query);
  }

  async count(filter: SessionFilter) {
    return this.#listing().count(filter);
  }

  async revoke(subject: string) {
    return this.#listing().revoke(subject, Date.now());
  }

  get checks(): GatewayHost["checks"] {
    const { namespace, directory } = this.#parts;
    return {
      /** An object that is no session's stores a row. */
      storage: async () => {
        const stub = namespace.get(namespace.idFromName("readiness"));
        await (stub as unknown as SessionStub).store().catch(unlessOlder);
      },
      ...(directory && {
        directory: async () => {
          const { partial } = await directory.list({ limit: 1 });
          if (partial) throw new UnavailableError("A part of the directory did not answer.");
        },
      }),
    };
  }

  #sessionsOf<T>(caller: Caller, shape: Shape<T>): GatewaySessions<T> {
    const versioned = { ...caller, version: CALL_VERSION };
    const sessions = new CallerSessions(this.#parts, versioned, shape);
    // An admin may know which ids exist.
    return caller.admin ? sessions : withPaddedRefusals(sessions, this.#refusalTime);
  }

  #listing(): DirectoryClient {
    const { directory } = this.#parts;
    if (directory) return directory;
    throw new UnavailableError("This service keeps no directory of its sessions.");
  }
}
