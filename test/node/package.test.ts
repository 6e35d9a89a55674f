/**
 * The tarball that `npm pack` makes: checked by publint and attw, and installed into an empty project:
 * imported, required, type-checked, run, and bundled for a Worker.
 */
import { execFile } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build, transform } from "esbuild";
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from "vitest";
import { wranglerDev } from "../support/command.ts";
import { packed } from "../support/packed.ts";
import { startRedis } from "../support/redis-server.ts";
import { Service } from "../support/service.ts";
import { SseReader } from "../support/sse-reader.ts";

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
  let seen: Session | undefined;
  await manager.range((one) => ((seen = one), false));
  await manager.delete(seen?.id ?? "none");
  await manager[Symbol.asyncDispose]();
  return [loaded?.getMetadataValue("user"), count].join(" ");
}

const kinds: Session[] = [new ProxySession("a"), new SSESession("b"), new StreamableSession("c")];
const [addr = ""] = ARGS;
const redis = await RedisStorage.connect({ url: "redis://" + addr + "/0", keyPrefix: "package:test:", ttlMs: 60_000 });
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

/** An app that hands the service to other Workers: by HTTP, and by methods of its own. */
const APP = `
import { WorkerEntrypoint } from "cloudflare:workers";
import { createHoldfast } from "holdfast/worker";
const holdfast = createHoldfast({ auth: "none", logMaxEvents: 2 });
export class SessionObject extends holdfast.SessionObject {}
export class DirectoryObject extends holdfast.DirectoryObject {}
export class Api extends WorkerEntrypoint {
  create(content) {
    return holdfast.sessions(this.env).create(content);
  }
  missing() {
    return holdfast.sessions(this.env).get("93c5dc0b-8b4e-4a0f-9d0c-6f2f2f3c9a7e");
  }
  async failure() {
    return this.create().then(String, ({ code, cause }) => code + " " + cause.message);
  }
}
export default holdfast;
`;

/** Another Worker, bound to it. */
const CALLER = `
const said = [];
const events = (id, env, init) => env.HTTP.fetch("https://live/v1/sessions/" + id + "/events", init);
async function publish(id, env, data) {
  const headers = { "content-type": "application/json" };
  const { status } = await events(id, env, { method: "POST", headers, body: JSON.stringify({ data }) });
  said.push(status);
}
export default {
  async test(_controller, env) {
    const { id, metadata } = await env.API.create({ metadata: { a: "b" }, overflow: "trim" });
    said.push(metadata);
    for (const data of [1, 2, 3]) await publish(id, env, data);
    const page = await events(id, env, { headers: { accept: "application/json" } });
    said.push((await page.json()).events.map(({ data }) => data));
    const reader = (await events(id, env)).body.getReader();
    await publish(id, env, 4);
    for (let text = ""; !text.includes("data: 4"); ) {
      text += new TextDecoder().decode((await reader.read()).value);
    }
    await reader.cancel();
    const missing = await env.API.missing().then(String, ({ code, status }) => [code, status]);
    said.push(missing, await env.BARE.failure());
    console.log("said " + JSON.stringify(said));
  },
};
`;

const APP_CONFIG = `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [
  (name = "caller", worker = (
    modules = [(name = "caller.js", esModule = embed "caller.js")],
    compatibilityDate = "2026-10-01",
    bindings = [
      (name = "HTTP", service = "app"),
      (name = "API", service = (name = "app", entrypoint = "Api")),
      (name = "BARE", service = (name = "bare", entrypoint = "Api")),
    ],
  )),
  (name = "app", worker = .app),
  (name = "bare", worker = .bare),
  (name = "objects", disk = (path = "app-objects", writable = true)),
]);
const app :Workerd.Worker = (
  modules = [(name = "app.js", esModule = embed "app.js")],
  compatibilityDate = "2026-10-01",
  compatibilityFlags = ["enable_request_signal"],
  durableObjectNamespaces = [
    (className = "SessionObject", uniqueKey = "sessions", enableSql = true),
    (className = "DirectoryObject", uniqueKey = "directory", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "objects"),
  bindings = [
    (name = "SESSIONS", durableObjectNamespace = "SessionObject"),
    (name = "DIRECTORY", durableObjectNamespace = "DirectoryObject"),
  ],
);
# As a migration with new_classes, or none, leaves it.
const bare :Workerd.Worker = (
  modules = [(name = "app.js", esModule = embed "app.js")],
  compatibilityDate = "2026-10-01",
  durableObjectNamespaces = [
    (className = "SessionObject", uniqueKey = "bare-sessions"),
    (className = "DirectoryObject", uniqueKey = "bare-directory"),
  ],
  durableObjectStorage = (localDisk = "objects"),
  bindings = [
    (name = "SESSIONS", durableObjectNamespace = "SessionObject"),
    (name = "DIRECTORY", durableObjectNamespace = "DirectoryObject"),
  ],
);
`;

/** A program of CommonJS: it requires every entry that Node can load. */
const COMMON_JS = `
import { LocalStorage, SessionManager } from "holdfast";
import { HoldfastClient } from "holdfast/client";
import { DurableObjectStorage } from "holdfast/durable-object";
import { useSession } from "holdfast/react";
import { RedisStorage } from "holdfast/redis";
import { version } from "holdfast/package.json";

async function main(): Promise<void> {
  const manager = new SessionManager({ storage: new LocalStorage() });
  const session = await manager.add(crypto.randomUUID());
  session.setMetadata("user", "ada");
  await manager.stop();
  const names = [HoldfastClient, DurableObjectStorage, useSession, RedisStorage].map(({ name }) => name);
  console.log(JSON.stringify([version, session.getMetadataValue("user"), ...names]));
}
void main();
`;

let consumer: string;

beforeAll(async () => {
  consumer = mkdtempSync(join(tmpdir(), "holdfast-consumer-"));
  cpSync(await packed(), join(consumer, "holdfast.tgz"));
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

/** The blocks of code on a page of docs, each with its language. */
function examplesOf(page: string): { readonly language: string; readonly code: string }[] {
  const text = readFileSync(join(PROJECT, "docs", page), "utf8");
  const blocks = text.matchAll(/```(tsx?)\n([\s\S]*?)```/g);
  return [...blocks].map(([, language = "", code = ""]) => ({ language, code }));
}

const isForWorker = ({ code }: { readonly code: string }) => code.includes("holdfast/object");

/** Checks modules together, strictly, and the library's own types with them. */
async function typeCheck(files: readonly string[], ...more: string[]): Promise<void> {
  const options = ["--noEmit", "--strict", "--skipLibCheck", "false", "--types", ""];
  const target = ["--target", "es2022", "--module", "nodenext", "--exactOptionalPropertyTypes"];
  await run(join(PROJECT, "node_modules/.bin/tsc"), [...options, ...target, ...more, ...files], {
    cwd: consumer,
  });
}

/** The platform's types, which an app of Workers installs. */
function installWorkersTypes(folder: string): void {
  const types = "node_modules/@cloudflare/workers-types";
  mkdirSync(join(folder, "node_modules/@cloudflare"), { recursive: true });
  symlinkSync(join(PROJECT, types), join(folder, types));
}

/** As an app of Workers does, which has the platform's types. `more`: further options of the compiler. */
async function typeCheckFolder(folder: string, more: object = {}): Promise<void> {
  installWorkersTypes(folder);
  const compilerOptions = {
    strict: true,
    noEmit: true,
    module: "esnext",
    moduleResolution: "bundler",
    target: "es2024",
    lib: ["es2024"],
    types: ["@cloudflare/workers-types"],
    ...more,
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  await run(join(PROJECT, "node_modules/.bin/tsc"), ["-p", folder]);
}

async function toJavaScript(code: string): Promise<string> {
  return (await transform(code, { loader: "ts" })).code;
}

/** Installs the packages that `holdfast/react` needs, and their types. */
function installReact(): void {
  for (const name of ["react", "csstype", "@types"]) {
    const path = join(consumer, "node_modules", name);
    if (!existsSync(path)) symlinkSync(join(PROJECT, "node_modules", name), path);
  }
}

/** The Nodes that can require ESM: the project's own, and the machine's if it is new enough. */
async function nodesThatRequire(): Promise<readonly string[]> {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const ofMachine = folders
    .filter((folder) => !folder.includes("node_modules"))
    .map((folder) => join(folder, "node"))
    .find(existsSync);
  if (ofMachine === undefined) return [process.execPath];
  const { stdout } = await run(ofMachine, ["--print", "process.features.require_module === true"]);
  return stdout.trim() === "true" ? [process.execPath, ofMachine] : [process.execPath];
}

describe("the packed library, by itself", () => {
  it("has no fault that publint or attw finds", async () => {
    const tool = (name: string, ...args: string[]) =>
      run(process.execPath, [join(PROJECT, "node_modules/.bin", name), "holdfast.tgz", ...args], {
        cwd: consumer,
      });
    const [{ stdout }] = await Promise.all([
      tool("publint", "--strict"),
      // attw's compiler, 5.6, does not know that Node requires ESM; a test below does it.
      tool("attw", "--profile", "node16", "--ignore-rules", "cjs-resolves-to-esm"),
    ]);
    expect(stdout).toContain("All good!");
  });

  it("has what its pages lead to", () => {
    const root = join(consumer, "node_modules/holdfast");
    // The pages in dist are copies for the service to show as text.
    const pages = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
      (file) => file.endsWith(".md") && !file.startsWith("dist/"),
    );
    const dead = pages.flatMap((page) => {
      const text = readFileSync(join(root, page), "utf8");
      return [...text.matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)]
        .map(([, path = ""]) => join(dirname(page), path))
        .filter((path) => !existsSync(join(root, path)))
        .map((path) => `${page} leads to ${path}`);
    });
    expect(dead).toEqual([]);
    // The template is whole, but for `.gitignore`, which npm never packs.
    const template = readdirSync(join(PROJECT, "template")).filter((name) => name !== ".gitignore");
    expect(readdirSync(join(root, "template")).toSorted()).toEqual(template.toSorted());
  });

  it("has the documentation, and the sources to which its types lead an editor", () => {
    const root = join(consumer, "node_modules/holdfast");
    const files = readdirSync(root, { recursive: true, encoding: "utf8" });
    const docs = readdirSync(join(PROJECT, "docs")).map((name) => `docs/${name}`);
    const pages = ["README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", ...docs];
    expect(pages.filter((page) => !files.includes(page))).toEqual([]);
    const maps = files.filter((file) => file.endsWith(".d.ts.map"));
    const types = files.filter((file) => file.startsWith("dist/") && file.endsWith(".d.ts"));
    expect(maps.length).toBe(types.length);
    const lost = maps.filter((map) => {
      const { sources } = JSON.parse(readFileSync(join(root, map), "utf8")) as {
        sources: readonly string[];
      };
      return sources.some((source) => !existsSync(join(root, dirname(map), source)));
    });
    expect(lost).toEqual([]);
  });
});

describe("the packed library, in an empty project", () => {
  it("type-checks in strict mode, its own types included", async () => {
    writeFileSync(join(consumer, "main.ts"), CONSUMER.replace("ARGS", "[] as string[]"));
    await expect(typeCheck(["main.ts"])).resolves.toBeUndefined();
  });

  it("type-checks in a program of CommonJS, and in the examples of docs/library.md and docs/client.md", async () => {
    installReact();
    const library = examplesOf("library.md").filter((one) => !isForWorker(one));
    const process = "declare const process: { readonly env: Record<string, string | undefined> };";
    const programs = Object.fromEntries([
      ["main.cts", COMMON_JS],
      ...library.map(({ code }, i) => [`example-${i}.ts`, `${process}\n${code}`] as const),
      ...examplesOf("client.md").map(
        ({ language, code }, i) => [`client-${i}.${language}`, code] as const,
      ),
    ]);
    expect(Object.keys(programs)).toHaveLength(10);
    for (const [file, code] of Object.entries(programs)) writeFileSync(join(consumer, file), code);
    await typeCheck(Object.keys(programs), "--jsx", "react-jsx");
  });

  it("is required by programs of CommonJS", async () => {
    installReact();
    const { code } = await transform(COMMON_JS, { loader: "ts", format: "cjs" });
    expect(code).toContain('require("holdfast")');
    writeFileSync(join(consumer, "main.cjs"), code);
    const { version } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as {
      version: string;
    };
    const names = ["HoldfastClient", "DurableObjectStorage", "useSession", "RedisStorage"];
    for (const path of await nodesThatRequire()) {
      const { stdout } = await run(path, ["main.cjs"], { cwd: consumer });
      expect([path, JSON.parse(stdout)]).toEqual([path, [version, "ada", ...names]]);
    }
  });

  it("does what docs/library.md shows: its examples run", async () => {
    const blocks = examplesOf("library.md");
    const examples = blocks.filter((one) => !isForWorker(one));
    expect([blocks.length, examples.length]).toEqual([5, 4]);
    // The example must find its imports; a test below runs one like it.
    const contents = blocks.find(isForWorker)?.code ?? "";
    await build({
      stdin: { contents, loader: "ts", resolveDir: consumer },
      bundle: true,
      write: false,
      external: ["cloudflare:workers"],
      format: "esm",
    });
    // The test has a Redis of its own, for an example lists every session under ToolHive's prefix.
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const printed: string[] = [];
    for (const [i, { code }] of examples.entries()) {
      const program = await toJavaScript(code.replace("127.0.0.1:6379", redis.addr));
      writeFileSync(join(consumer, `example-${i}.js`), program);
      printed.push(await node(`example-${i}.js`));
    }
    expect(printed[0]).toBe("ada 1");
    expect(printed[1]).toMatch(/^\S{36} mcp$/);
    expect(printed[2]).toBe("hello\nfalse SessionDisconnectedError: The session is disconnected.");
    expect(printed[3]).toBe("0");
  });

  it("does what docs/client.md shows: its examples of a program run", async () => {
    const blocks = examplesOf("client.md");
    expect(blocks.map(({ language }) => language)).toEqual(["ts", "ts", "ts", "tsx", "ts"]);
    const service = await Service.start();
    const printed: string[] = [];
    for (const [i, { language, code }] of blocks.entries()) {
      if (language === "tsx" || code.includes("// In the page")) continue;
      const program = code.replaceAll("http://localhost:8787", service.url);
      writeFileSync(join(consumer, `client-${i}.js`), await toJavaScript(program));
      printed.push(await node(`client-${i}.js`));
    }
    expect(printed).toEqual([
      "",
      expect.stringMatching(/^\S+ message \{ word: 'hello' \}\nthe end: ended$/),
      "",
    ]);
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

  it("is a part of an app, through service bindings too, and its options reach the objects", async () => {
    await build({
      stdin: { contents: APP, resolveDir: consumer },
      outfile: join(consumer, "app.js"),
      bundle: true,
      format: "esm",
      external: ["cloudflare:workers"],
    });
    writeFileSync(join(consumer, "caller.js"), CALLER);
    writeFileSync(join(consumer, "app.capnp"), APP_CONFIG);
    mkdirSync(join(consumer, "app-objects"));
    const workerd = join(PROJECT, "node_modules/.bin/workerd");
    const args = ["test", "--experimental", "app.capnp", "caller"];
    const { stdout } = await run(workerd, args, { cwd: consumer });
    expect(JSON.parse(/^said (.*)$/m.exec(stdout)?.[1] ?? "null")).toEqual([
      { a: "b" },
      202,
      202,
      202,
      ["2", "3"],
      202,
      // As docs/own-worker.md says of an error over a call.
      ["session_not_found", 404],
      'unavailable SessionObject has no SQLite storage: add [[migrations]] with a new tag and new_sqlite_classes = ["SessionObject", "DirectoryObject"] to wrangler.toml',
    ]);
  });

  it("makes the Worker that docs/own-worker.md prints, or says what it lacks, and checks the types of its examples", async () => {
    const page = readFileSync(join(PROJECT, "docs/own-worker.md"), "utf8");
    const blocks = (language: string) =>
      [...page.matchAll(new RegExp(`\\n\`\`\`${language}\\n([^]*?)\`\`\``, "g"))].map(
        ([, code = ""]) => code,
      );
    const [worker = "", ...examples] = blocks("ts");
    const [toml = "", ...tomls] = blocks("toml");
    expect([examples.length, tomls.length]).toEqual([4, 0]);
    const folder = join(consumer, "from-docs");
    mkdirSync(folder);
    writeFileSync(join(folder, "worker.ts"), worker);
    writeFileSync(join(folder, "wrangler.toml"), toml);
    examples.forEach((code, i) => writeFileSync(join(folder, `example-${i}.ts`), code));
    // As `wrangler types` writes it: the platform's types then ask something of each exported class.
    const generated = `declare namespace Cloudflare {
      interface GlobalProps {
        mainModule: typeof import("./worker");
        durableNamespaces: "SessionObject" | "DirectoryObject";
      }
    }`;
    writeFileSync(join(folder, "worker-configuration.d.ts"), generated);
    await typeCheckFolder(folder);
    // As it is without one of the classes: the page quotes what wrangler says.
    const forgetful = join(consumer, "forgetful");
    mkdirSync(forgetful);
    writeFileSync(join(forgetful, "worker.ts"), worker.replace(/^export (class Dir.*)$/m, "$1"));
    writeFileSync(join(forgetful, "wrangler.toml"), toml);
    const dryRun = (cwd: string) =>
      run(join(PROJECT, "node_modules/.bin/wrangler"), ["deploy", "--dry-run"], { cwd });
    const [{ stdout }, refused] = await Promise.all([
      dryRun(folder),
      dryRun(forgetful).then(String, ({ stderr }: { stderr: string }) => stderr),
    ]);
    expect(refused).toContain("not exported in your entrypoint file: DirectoryObject.");
    expect(refused).toContain("You should export these objects from your entrypoint, worker.ts.");
    expect(stdout).toMatch(/env\.SESSIONS \(SessionObject\)[^]*env\.DIRECTORY \(DirectoryObject\)/);
  });

  it("makes the app of the template, as C3 and the deploy button take it", async () => {
    const source = join(PROJECT, "template");
    const folder = join(consumer, "template");
    cpSync(source, folder, { recursive: true });
    installWorkersTypes(folder);
    const bin = (name: string, ...args: string[]) =>
      run(join(PROJECT, "node_modules/.bin", name), args, { cwd: folder });
    writeFileSync(join(folder, ".dev.vars"), "PASSWORD=sesame\n");
    const [{ url }, { stdout }] = await Promise.all([
      wranglerDev(["--config", join(folder, "wrangler.toml")]),
      bin("wrangler", "deploy", "--dry-run"),
      bin("tsc"),
    ]);
    const bound = [...stdout.matchAll(/^env\.(\w+)/gm)].map(([, name = ""]) => name);
    expect(bound).toEqual(["SESSIONS", "DIRECTORY", "ASSETS"]);
    // The button asks for each secret that this file names, and takes the value there for a default.
    const secrets = readFileSync(join(source, ".dev.vars.example"), "utf8");
    expect(secrets).toBe("PASSWORD=\n");
    const { cloudflare, ...packed } = JSON.parse(
      readFileSync(join(source, "package.json"), "utf8"),
    ) as Record<"dependencies" | "devDependencies" | "scripts", Record<string, string>> & {
      cloudflare: { bindings: Record<string, { description: string }> };
    };
    expect(Object.keys(cloudflare.bindings)).toEqual(["PASSWORD", ...bound]);
    expect(packed.scripts).toMatchObject({ dev: "wrangler dev", deploy: "wrangler deploy" });
    // C3 takes folders of these names for variants, and only one of them.
    expect(["js", "ts"].filter((name) => existsSync(join(source, name)))).toEqual([]);
    const authorization = `Basic ${btoa("me:sesame")}`;
    const call = (path: string, init: RequestInit = {}, headers: object = {}) =>
      fetch(url + path, { ...init, headers: { authorization, ...headers } });
    expect((await fetch(url)).status).toBe(401);
    expect(await (await call("/")).text()).toMatch(/^<!doctype html>/);
    const body = JSON.stringify({ prompt: "Why?" });
    const asked = await call(
      "/answers",
      { method: "POST", body },
      { "content-type": "application/json" },
    );
    const { id } = (await asked.json()) as { id: string };
    const path = `/answers/${id}`;
    const reader = new SseReader((await call(`${path}/events`)).body!);
    expect((await reader.take(2)).map(({ data }) => data)).toEqual(["You ", "asked: "]);
    const stop = (origin: string) => call(`${path}/stop`, { method: "POST" }, { origin });
    expect((await stop("https://evil.example")).status).toBe(403);
    expect((await stop(url)).status).toBe(200);
    expect((await reader.rest()).map(({ event }) => event).slice(-2)).toEqual(["stopped", "ended"]);
    // The template installs the versions that this project is tested with.
    const own = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as typeof packed & {
      version: string;
    };
    const { holdfast, ...others } = { ...packed.dependencies, ...packed.devDependencies };
    expect(holdfast).toBe(`^${own.version}`);
    expect({ ...own.dependencies, ...own.devDependencies }).toMatchObject(others);
  });

  it.each([
    ["holdfast", 12],
    ["holdfast/durable-object", 12],
    // ioredis is most of it.
    ["holdfast/redis", 80],
    ["holdfast/object", 72],
    ["holdfast/worker", 158],
  ])("%s takes less than %i KiB of a bundle, compressed", async (entry, most) => {
    const { outputFiles } = await build({
      stdin: { contents: `export * from "${entry}"`, resolveDir: consumer },
      bundle: true,
      write: false,
      minify: true,
      format: "esm",
      external: ["cloudflare:workers", "node:*", ...builtinModules],
    });
    const size = gzipSync(outputFiles[0]?.contents ?? "").length / 1024;
    // Not by the console, of which a test that passes shows nothing.
    process.stdout.write(`${entry}: ${size.toFixed(1)} KiB compressed, of ${most}\n`);
    expect(size).toBeGreaterThan(1);
    expect(size).toBeLessThan(most);
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
