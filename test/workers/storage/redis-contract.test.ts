import { inject } from "vitest";
import { describeRedisAdapters } from "../../contract/redis.ts";

describeRedisAdapters("workerd", inject("redisAddr"));
