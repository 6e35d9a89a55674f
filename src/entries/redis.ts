/** The library's entry `holdfast/redis`: the adapters that need a Redis client. */
export {
  DEFAULT_DIAL_TIMEOUT_MS,
  DEFAULT_READ_TIMEOUT_MS,
  DEFAULT_WRITE_TIMEOUT_MS,
  PROXY_SESSION_KEY_PREFIX,
  REDIS_PASSWORD_ENV_VAR,
  RedisConfigError,
  VMCP_SESSION_KEY_PREFIX,
} from "../library/storage/redis/config.ts";
export type {
  IoredisClient,
  RedisOptions,
  RedisSentinelOptions,
  RedisTlsOptions,
} from "../library/storage/redis/config.ts";
export { RedisDataStorage, RedisStorage } from "../library/storage/redis/storage.ts";
