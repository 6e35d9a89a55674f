/**
 * The library's core: sessions, their manager, the storages that need nothing
 * else. It imports no Redis client; that is `holdfast/redis`.
 */
export { systemClock } from "./session/clock.ts";
export type { Clock } from "./session/clock.ts";
export {
  decodeMetadata,
  decodeRecord,
  decodeSession,
  encodeMetadata,
  encodeRecord,
  encodeSession,
  sessionOf,
} from "./session/codec.ts";
export {
  CorruptRecordError,
  InvalidSessionIdError,
  InvalidSessionTypeError,
  MessageChannelFullError,
  SessionAlreadyExistsError,
  SessionDisconnectedError,
  SessionError,
  SessionNotFoundError,
  UnavailableError,
} from "./session/errors.ts";
export type { ErrorCode } from "./session/errors.ts";
export { newSessionId, parseSessionId } from "./session/id.ts";
export type { SessionId } from "./session/id.ts";
export { MESSAGE_QUEUE_CAPACITY, MessageQueue } from "./session/message-queue.ts";
export {
  CODE_SESSION_NOT_FOUND,
  MESSAGE_SESSION_NOT_FOUND,
  hasJsonRpcId,
  notFoundBody,
  notFoundResponse,
} from "./session/not-found-body.ts";
export type { JsonRpcId } from "./session/not-found-body.ts";
export { ProxySession } from "./session/proxy-session.ts";
export type { SessionOptions } from "./session/proxy-session.ts";
export { recordOf } from "./session/session.ts";
export type { Session, SessionRecord } from "./session/session.ts";
export { SSESession } from "./session/sse-session.ts";
export type { SSEClient } from "./session/sse-session.ts";
export { StreamableSession } from "./session/streamable-session.ts";
export { ZERO_TIME, parseTimestamp, timestampFromMs } from "./session/timestamp.ts";
export type { Timestamp } from "./session/timestamp.ts";
export { DEFAULT_SESSION_TYPE, SESSION_TYPES, isKnownSessionType } from "./session/type.ts";
export type { KnownSessionType, SessionType } from "./session/type.ts";
export type {
  DataStorage,
  MetadataEntry,
  MetadataPage,
  SessionMetadata,
} from "./storage/data-storage.ts";
export { LocalDataStorage } from "./storage/local-data.ts";
export type { LocalDataStorageOptions } from "./storage/local-data.ts";
export { LocalStorage } from "./storage/local.ts";
export type { LocalStorageOptions } from "./storage/local.ts";
export type { AnyPage, PageOptions, RangeOptions } from "./storage/pages.ts";
export { DEFAULT_SESSION_TTL_MS, SessionManager } from "./storage/session-manager.ts";
export type { SessionFactory, SessionManagerOptions } from "./storage/session-manager.ts";
export type { CallOptions, ConditionOptions, SessionPage, Storage } from "./storage/storage.ts";
