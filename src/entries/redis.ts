/** The library's entry `holdfast/redis`: the adapters that need a Redis client. */
export {
  PROXY_SESSION_KEY_PREFIX,
  REDIS_PASSWORD_ENV_VAR,
  RedisConfigError,
  VMCP_SESSION_KEY_PREFIX,
} from "../library/storage/redis/config.ts";
export type {
  RedisOptions,
  RedisSentinelOptions,
  RedisTlsOptions,
} from "../library/storage/redis/config.ts";
export { RedisDataStorage, RedisStorage } from "../library/storage/redis/storage.ts";
