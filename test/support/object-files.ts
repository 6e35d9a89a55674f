/** The files in which workerd keeps the sessions of a service. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { isObjectFile, objectsIn } from "../../scripts/object-folders.ts";

/** The folder of all sessions, by the service's STATE_DIR. */
export const sessionFolder = (stateDir: string): string =>
  join(objectsIn(stateDir), "SessionObject");

/** The names of the sessions' databases in it, without what SQLite keeps beside them. */
export const sessionFiles = (stateDir: string): string[] =>
  readdirSync(sessionFolder(stateDir)).filter(isObjectFile);
