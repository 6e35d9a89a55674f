/**
 * The tarball that `npm pack` makes, installed into an empty project: imported,
 * type-checked, run, and bundled for a Worker.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { build, transform } from "esbuild";
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from "vitest";
import { startRedis } from "../support/redis-server.ts";

const run = promisify(execFile);
const PROJECT = join(import.meta.dirname, "../..");

const CONSUMER = `
import { DEFAULT_SESSION_TTL_MS, LocalStorage, ProxySession, SSESession, SessionManager, StreamableSession } from "holdfast";
import type { Session, Storage } from "holdfast";
import { DurableObjectStorage, sessionsIn } from "holdfast/durable-object";
import { RedisStorage } from "holdfast/redis";

async function use(storage: Storage): Promise<string> {
  const manager = new SessionManager({ storage, ttlMs: DEFAULT_SESSION_TTL_MS });
  const session: Session = await manager.add(crypto.randomUUID());
  session.setMetadata("user", "ada");
  await manager.upsert(session);
  const loaded: Session | undefined = await manager.get(session.id);
  const count: number = await manager.count();
  await manager.delete(session.id);
  await manager.stop();
  return [loaded?.getMetadataValue("user"), count].join(" ");
}

const kinds: Session[] = [new ProxySession("a"), new SSESession("b"), new StreamableSession("c")];
const [addr = ""] = ARGS;
const redis = await RedisStorage.connect({ addr, keyPrefix: "package:test:", ttlMs: 60_000 });
const object = new DurableObjectStorage({ sessions: sessionsIn({ idFromName: () => "" }), ttlMs: 1000 });
const miss = await object.load("not-a-uuid").catch((error: { code: string }) => error.code);
console.log(JSON.stringify([kinds.length, await use(new LocalStorage()), await use(redis), miss]));
`;

/** Run by `workerd test`, which fails where this throws. */
const WORKER = `
import { ProxySession, SessionManager } from "holdfast";
import { DurableObjectStorage, sessionsIn } from "holdfast/durable-object";
export { SessionObject } from "holdfast/object";

export default {
  async test(_controller, env) {
    const storage = new DurableObjectStorage({ sessions: sessionsIn(env.SESSIONS), ttlMs: 60_000 });
    const manager = new SessionManager({ storage });
    const session = new ProxySession(crypto.randomUUID());
    session.setData({ made: "in a Worker" });
    const created = [await storage.create(session), await storage.create(session)];
    const loaded = await manager.get(session.id);
    const found = JSON.stringify([created, loaded.getData()]);
    if (found !== '[[true,false],{"made":"in a Worker"}]') throw new Error(found);
    console.log("passed in workerd");
  },
};
`;

const WORKERD_CONFIG = `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = (
  modules = [(name = "worker.js", esModule = embed "bundle.js")],
  compatibilityDate = "2026-10-01",
  durableObjectNamespaces = [(className = "SessionObject", uniqueKey = "sessions", enableSql = true)],
  durableObjectStorage = (localDisk = "objects"),
  bindings = [(name = "SESSIONS", durableObjectNamespace = "SessionObject")],
)), (name = "objects", disk = (path = "objects", writable = true))]);
`;

let consumer: string;

beforeAll(async () => {
  consumer = mkdtempSync(join(tmpdir(), "holdfast-consumer-"));
  // Builds first, by the package's own prepack.
  const pack = ["pack", "--silent", "--pack-destination", consumer];
  const { stdout } = await run("npm", pack, { cwd: PROJECT });
  const tarball = stdout.trim().split("\n").at(-1) ?? "";
  renameSync(join(consumer, tarball), join(consumer, "holdfast.tgz"));
  writeFileSync(
    join(consumer, "package.json"),
    '{"name":"consumer","private":true,"type":"module"}',
  );
  const quietly = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"];
  await run("npm", ["install", "./holdfast.tgz", ...quietly], { cwd: consumer });
}, 120_000);
afterAll(() => rmSync(consumer, { recursive: true, force: true }));

function node(...args: string[]): Promise<string> {
  return run(process.execPath, args, { cwd: consumer }).then(({ stdout }) => stdout.trim());
}

/** Strictly, and with the library's own types checked too. */
async function typeCheck(file: string): Promise<void> {
  const options = ["--noEmit", "--strict", "--skipLibCheck", "false", "--types", ""];
  const target = ["--target", "es2022", "--module", "nodenext", "--exactOptionalPropertyTypes"];
  await run(join(PROJECT, "node_modules/.bin/tsc"), [...options, ...target, file], {
    cwd: consumer,
  });
}

async function toJavaScript(code: string): Promise<string> {
  return (await transform(code, { loader: "ts" })).code;
}

describe("the packed library, in an empty project", () => {
  it("type-checks in strict mode, its own types included", async () => {
    writeFileSync(join(consumer, "main.ts"), CONSUMER.replace("ARGS", "[] as string[]"));
    await typeCheck("main.ts");
  });

  it("does what docs/library.md shows: its examples type-check and run", async () => {
    const text = readFileSync(join(PROJECT, "docs/library.md"), "utf8");
    const blocks = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ""]) => code);
    const isForWorker = (code: string) => code.includes("holdfast/object");
    const examples = blocks.filter((code) => !isForWorker(code));
    expect([blocks.length, examples.length]).toEqual([5, 4]);
    // The example must find its imports; a test below runs one like it.
    const contents = blocks.find(isForWorker) ?? "";
    await build({
      stdin: { contents, loader: "ts", resolveDir: consumer },
      bundle: true,
      write: false,
      external: ["cloudflare:workers"],
      format: "esm",
    });
    // Its own server, for an example lists every session under ToolHive's prefix.
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const printed: string[] = [];
    for (const [i, example] of examples.entries()) {
      const code = example.replace("127.0.0.1:6379", redis.addr);
      writeFileSync(
        join(consumer, `example-${i}.ts`),
        `declare const process: { readonly env: Record<string, string | undefined> };\n${code}`,
      );
      writeFileSync(join(consumer, `example-${i}.js`), await toJavaScript(code));
      await typeCheck(`example-${i}.ts`);
      printed.push(await node(`example-${i}.js`));
    }
    expect(printed[0]).toBe("ada 1");
    expect(printed[1]).toMatch(/^\S{36} mcp$/);
    expect(printed[2]).toBe("hello\nfalse SessionDisconnectedError: The session is disconnected.");
    expect(printed[3]).toBe("0");
  });

  it("runs in Node, every entry of it", async () => {
    const code = CONSUMER.replace("ARGS", "process.argv.slice(2)");
    writeFileSync(join(consumer, "main.js"), await toJavaScript(code));
    const printed = await node("main.js", inject("redisAddr"));
    expect(JSON.parse(printed)).toEqual([3, "ada 1", "ada 1", "invalid_session_id"]);
  });

  it("runs in a Worker with its objects, after a bundler", async () => {
    writeFileSync(join(consumer, "worker.js"), WORKER);
    await build({
      entryPoints: [join(consumer, "worker.js")],
      outfile: join(consumer, "bundle.js"),
      bundle: true,
      format: "esm",
      external: ["cloudflare:workers"],
    });
    writeFileSync(join(consumer, "config.capnp"), WORKERD_CONFIG);
    mkdirSync(join(consumer, "objects"));
    const workerd = join(PROJECT, "node_modules/.bin/workerd");
    const { stdout } = await run(workerd, ["test", "--experimental", "config.capnp"], {
      cwd: consumer,
    });
    expect(stdout).toContain("passed in workerd");
  });

  it("pulls in no Redis client, and nothing of a platform, with the core alone", async () => {
    for (const entry of ["holdfast", "holdfast/durable-object"]) {
      const { metafile } = await build({
        stdin: { contents: `export * from "${entry}"`, resolveDir: consumer },
        bundle: true,
        write: false,
        metafile: true,
        format: "esm",
        // Would fail on an import of Node's or a Worker's modules.
        platform: "neutral",
      });
      const packages = Object.keys(metafile.inputs).map(
        (path) => /node_modules\/([^/]+)/.exec(path)?.[1],
      );
      expect(new Set(packages)).toEqual(new Set([undefined, "holdfast"]));
    }
  });

  it("needs no Redis client to be installed for the core", async () => {
    mkdirSync(join(consumer, "aside"));
    renameSync(join(consumer, "node_modules/ioredis"), join(consumer, "aside/ioredis"));
    const load = (entry: string) => node("--input-type=module", "-e", `await import("${entry}")`);
    await load("holdfast");
    await load("holdfast/durable-object");
    await expect(load("holdfast/redis")).rejects.toThrow(/Cannot find package 'ioredis'/);
  });
});
