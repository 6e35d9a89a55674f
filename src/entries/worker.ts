/**
 * The library's entry `holdfast/worker`: the whole service inside a Worker of one's own. It imports
 * `cloudflare:workers`, so it loads in a Worker only.
 */
export type { Scope } from "../auth/identity.ts";
export { ConfigError } from "../config/env.ts";
export type * from "../core/api.ts";
export { SessionError } from "../core/errors.ts";
export type { ErrorCode } from "../core/errors.ts";
export { createHoldfast } from "../embed/create-holdfast.ts";
export type { Holdfast, SessionsOptions } from "../embed/create-holdfast.ts";
export type {
  Authenticated,
  HoldfastOptions,
  OwnUpstream,
  TaskOptions,
  UpstreamOption,
  UpstreamServer,
  VariableOptions,
} from "../embed/options.ts";
export type { HoldfastSessions, IfMatchOption, Replayable } from "../embed/sessions.ts";
export type {
  ConnectableServer,
  ServerPublishOptions,
  ServerSession,
  ServerState,
  ServerTransport,
} from "../gateway/own/contract.ts";
