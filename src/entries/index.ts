/**
 * The library's core: sessions, their manager, the storages that need nothing
 * else. It imports no Redis client; that is `holdfast/redis`.
 */
export { systemClock } from "../library/model/clock.ts";
export type { Clock } from "../library/model/clock.ts";
export {
  decodeMetadata,
  decodeRecord,
  decodeSession,
  encodeMetadata,
  encodeRecord,
  encodeSession,
  sessionOf,
} from "../library/model/codec.ts";
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
} from "../core/errors.ts";
export type { ErrorCode } from "../core/errors.ts";
export { newSessionId, parseSessionId } from "../core/id.ts";
export type { SessionId } from "../core/id.ts";
export { MESSAGE_QUEUE_CAPACITY, MessageQueue } from "../library/model/message-queue.ts";
export {
  CODE_SESSION_NOT_FOUND,
  MESSAGE_SESSION_NOT_FOUND,
  hasJsonRpcId,
  notFoundBody,
  notFoundResponse,
} from "../library/model/not-found-body.ts";
export type { JsonRpcId } from "../library/model/not-found-body.ts";
export { ProxySession } from "../library/model/proxy-session.ts";
export type { SessionOptions } from "../library/model/proxy-session.ts";
export { recordOf } from "../library/model/session.ts";
export type { Session, SessionRecord } from "../library/model/session.ts";
export { SSESession } from "../library/model/sse-session.ts";
export type { SSEClient } from "../library/model/sse-session.ts";
export { StreamableSession } from "../library/model/streamable-session.ts";
export { ZERO_TIME, parseTimestamp, timestampFromMs } from "../library/model/timestamp.ts";
export type { Timestamp } from "../library/model/timestamp.ts";
export { DEFAULT_SESSION_TYPE, SESSION_TYPES, isKnownSessionType } from "../core/type.ts";
export type { KnownSessionType, SessionType } from "../core/type.ts";
export type {
  DataStorage,
  MetadataEntry,
  MetadataPage,
  SessionMetadata,
} from "../library/storage/data-storage.ts";
export { LocalDataStorage } from "../library/storage/local-data.ts";
export type { LocalDataStorageOptions } from "../library/storage/local-data.ts";
export { LocalStorage } from "../library/storage/local.ts";
export type { LocalStorageOptions } from "../library/storage/local.ts";
export type { AnyPage, PageOptions, RangeOptions } from "../library/storage/storage.ts";
export { DEFAULT_SESSION_TTL_MS, SessionManager } from "../library/session-manager.ts";
export type { SessionFactory, SessionManagerOptions } from "../library/session-manager.ts";
export type {
  CallOptions,
  ConditionOptions,
  SessionPage,
  Storage,
} from "../library/storage/storage.ts";
