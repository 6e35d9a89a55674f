/**
 * The library's entry `holdfast/object`: a Worker exports these classes for its bindings. It
 * imports `cloudflare:workers`, so it loads in a Worker only.
 */
export { DirectoryObject } from "../directory/directory-object.ts";
export { SessionObject } from "../session/session-object.ts";
