/**
 * The library's entry `holdfast`: sessions, their manager and the storages in memory. It imports
 * no Redis client; that is `holdfast/redis`.
 */
export {
  DEFAULT_SESSION_TYPE,
  SESSION_TYPES,
  SESSION_TYPE_MCP,
  SESSION_TYPE_SSE,
  SESSION_TYPE_STREAMABLE,
  SESSION_TYPE_TASK,
  isKnownSessionType,
} from "../core/content.ts";
export type { KnownSessionType, SessionType } from "../core/content.ts";
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
export { parseSessionId } from "../core/id.ts";
export type { SessionId } from "../core/id.ts";
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
  CODE_SESSION_NOT_FOUND,
  MESSAGE_SESSION_NOT_FOUND,
  hasJsonRpcId,
  notFoundBody,
  notFoundResponse,
} from "../library/model/not-found-body.ts";
export type { JsonRpcId } from "../library/model/not-found-body.ts";
export {
  ProxySession,
  StreamableSession,
  newSessionId,
  recordOf,
} from "../library/model/session.ts";
export type { Session, SessionOptions, SessionRecord } from "../library/model/session.ts";
export { MESSAGE_QUEUE_CAPACITY, MessageQueue, SSESession } from "../library/model/sse-session.ts";
export type { SSEClient } from "../library/model/sse-session.ts";
export { ZERO_TIME, parseTimestamp, systemClock, timestampFromMs } from "../library/model/time.ts";
export type { Clock, Timestamp } from "../library/model/time.ts";
export { DEFAULT_SESSION_TTL_MS, SessionManager } from "../library/session-manager.ts";
export type { SessionFactory, SessionManagerOptions } from "../library/session-manager.ts";
export { LocalDataStorage, LocalStorage } from "../library/storage/local.ts";
export type { LocalDataStorageOptions, LocalStorageOptions } from "../library/storage/local.ts";
export type {
  AnyPage,
  CallOptions,
  ConditionOptions,
  DataStorage,
  MetadataEntry,
  MetadataPage,
  PageOptions,
  RangeCallback,
  RangeOptions,
  SessionMetadata,
  SessionPage,
  Storage,
} from "../library/storage/storage.ts";
