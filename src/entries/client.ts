/** The entry `holdfast/client`: the client, for pages, Node and Workers. Its one dependency is `eventsource-parser`. */
export { HoldfastClient } from "../client/client.ts";
export type {
  CallOptions,
  ConditionOptions,
  FilterOptions,
  GetOptions,
  ListOptions,
  PublishOptions,
  PutOptions,
  ReadOptions,
  SubjectOptions,
} from "../client/client.ts";
export { HoldfastError } from "../client/error.ts";
export type { HoldfastErrorOptions } from "../client/error.ts";
export { FollowedEvent } from "../client/follow.ts";
export type {
  Followed,
  FollowedEnd,
  FollowedGap,
  Following,
  FollowOptions,
  TicketSource,
} from "../client/follow.ts";
export type { HoldfastClientOptions, TokenSource } from "../client/service.ts";
export type { OnRetry, Timing } from "../client/timing.ts";
// The options above take a `signal` too, and stand in place of those of the same names here.
export type * from "../core/api.ts";
export type { KnownSessionType as SessionType, Overflow } from "../core/content.ts";
