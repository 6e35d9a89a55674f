/** One plain Redis for all tests of a project; its address reaches them by `inject("redisAddr")`. */
import type { TestProject } from "vitest/node";
import { startRedis } from "./redis-server.ts";

declare module "vitest" {
  export interface ProvidedContext {
    redisAddr: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startRedis();
  project.provide("redisAddr", server.addr);
  return () => server.stop();
}
