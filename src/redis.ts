/** The library's entry `holdfast/redis`: the adapters that need a Redis client. */
export {
  PROXY_SESSION_KEY_PREFIX,
  REDIS_PASSWORD_ENV_VAR,
  RedisConfigError,
  VMCP_SESSION_KEY_PREFIX,
} from "./storage/redis-config.ts";
export type {
  RedisOptions,
  RedisSentinelOptions,
  RedisTlsOptions,
} from "./storage/redis-config.ts";
export { RedisDataStorage } from "./storage/redis-data.ts";
export { RedisStorage } from "./storage/redis.ts";
