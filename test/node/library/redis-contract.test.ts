import { Redis } from "ioredis";
import { afterAll, inject } from "vitest";
import { describeRedisAdapters } from "../../contract/redis.ts";

const addr = inject("redisAddr");
const raw = new Redis(`redis://${addr}`, { lazyConnect: true });
afterAll(() => raw.disconnect());

describeRedisAdapters("in Node", { addr }, raw);
describeRedisAdapters("through a client that was handed in", { client: raw }, raw);
