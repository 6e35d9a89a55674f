/**
 * The library's entry `holdfast/object`: the class that a Worker exports for its
 * binding. It imports `cloudflare:workers`, so it loads in a Worker only.
 */
export { SessionObject } from "./object/session-object.ts";
