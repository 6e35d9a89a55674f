import { InvalidSessionIdError } from "../session/errors.ts";
import { parseSessionId } from "../session/id.ts";

/**
 * The id under which a session is stored: of a UUID in any accepted form its
 * canonical one, so that one UUID is one session. Others are taken as they are,
 * as ToolHive's storages do; only its manager insists on UUIDs. Throws
 * `InvalidSessionIdError` where the id is empty.
 */
export function storedId(id: string): string {
  if (typeof id !== "string" || id === "") {
    throw new InvalidSessionIdError("A session id must not be empty.");
  }
  return parseSessionId(id) ?? id;
}
