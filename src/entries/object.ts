/**
 * The library's entry `holdfast/object`: a Worker exports these classes for its bindings. It
 * imports `cloudflare:workers`, so it loads in a Worker only.
 *
 * @example
 * // The Worker's main file; `sessionsIn` of `holdfast/durable-object` calls the objects.
 * export { DirectoryObject, SessionObject } from "holdfast/object";
 *
 * // wrangler.toml. SessionObject finds the directory by the name DIRECTORY; it may be left out.
 * // DirectoryObject needs SESSIONS, to end the sessions of a revoked subject.
 * // [[durable_objects.bindings]]
 * // name = "SESSIONS"
 * // class_name = "SessionObject"
 * //
 * // [[durable_objects.bindings]]
 * // name = "DIRECTORY"
 * // class_name = "DirectoryObject"
 * //
 * // [[migrations]]
 * // tag = "v1"
 * // new_sqlite_classes = ["SessionObject", "DirectoryObject"]
 */
export { DirectoryObject } from "../directory/directory-object.ts";
export { SessionObject } from "../session/session-object.ts";
