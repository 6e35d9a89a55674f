/** Servers that all tests of a project share; their addresses reach them by `inject`. */
import type { TestProject } from "vitest/node";
import { makeCertificates } from "./certificates.ts";
import { startRedis } from "./redis-server.ts";
import { startSilentServer } from "./silent-server.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** A plain Redis. */
    redisAddr: string;
    /** A Redis with TLS alone, and a certificate that nobody's system trusts. */
    redisTlsAddr: string;
    /** A server that accepts connections and never answers. */
    silentAddr: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { listen, remove } = await makeCertificates();
  const [plain, tls, silent] = await Promise.all([
    startRedis(),
    startRedis({ listen }),
    startSilentServer(),
  ]);
  project.provide("redisAddr", plain.addr);
  project.provide("redisTlsAddr", tls.addr);
  project.provide("silentAddr", silent.addr);
  return async () => {
    silent.close();
    await Promise.all([plain.stop(), tls.stop()]);
    await remove();
  };
}
