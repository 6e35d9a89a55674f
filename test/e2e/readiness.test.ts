/** `/readyz` over real HTTP: storage, directory and keys, and what a stranger may see of them. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, type TestContext } from "vitest";
import { Issuer } from "../support/issuer.ts";
import { startUpstream } from "../support/mcp/gateway.ts";
import { atEnd, beside } from "../support/scope.ts";
import { Service } from "../support/service.ts";

const problem = (failing: readonly string[]) => ({
  type: "urn:holdfast:problem:unavailable",
  title: "Service unavailable",
  status: 503,
  detail: `Not ready: ${failing.join(", ")}.`,
  code: "unavailable",
  failing,
});

const TOKENS = JSON.stringify([{ sha256: "ab".repeat(32), subject: "ada", scopes: ["mcp"] }]);

const ask = async (service: Service) => {
  const response = await service.fetch("/readyz", { headers: { host: "anything.example" } });
  return [response.status, await response.json()];
};

/** A module with this class of objects, in place of the service's own. */
async function classModule(name: string, methods: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-class-"));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "class.js");
  const source = `import { DurableObject } from "cloudflare:workers";
export class ${name} extends DurableObject { ${methods} }
export default { fetch: () => new Response(null, { status: 404 }) };`;
  await writeFile(path, source);
  return path;
}

it.concurrent(
  "is ready, to anybody",
  beside(async () => {
    const service = await Service.start({ AUTH: "token", API_TOKENS: TOKENS });
    expect(await ask(service)).toEqual([200, { status: "ready" }]);
  }),
);

it.concurrent(
  "is not while one shard of the directory does not answer",
  beside(async () => {
    const page = `page({ shard, shards }) {
      if (shard === 3) throw new Error("secret");
      return { entries: [], shards, moving: false };
    }`;
    const broken = await classModule("DirectoryObject", page);
    const service = await Service.start({}, { objects: { DirectoryObject: broken } });
    expect(await ask(service)).toEqual([503, problem(["directory"])]);
    expect(await service.logged(({ event }) => event === "service.not_ready")).toMatchObject({
      level: "error",
      check: "directory",
    });
  }),
);

it.concurrent(
  "is not while nothing can be stored",
  beside(async () => {
    const broken = await classModule("SessionObject", 'store() { throw new Error("secret"); }');
    const service = await Service.start({}, { objects: { SessionObject: broken } });
    expect(await ask(service)).toEqual([503, problem(["storage"])]);
  }),
);

it.concurrent(
  "is not until there are keys to check tokens with",
  beside(async ({ expect }: TestContext) => {
    let issuer: Issuer | undefined;
    const server = await startUpstream(async () => issuer!.fetch());
    issuer = await Issuer.make(server.url);
    issuer.isDown = true;
    const service = await Service.start({ AUTH: "jwt", ...issuer.variables });
    expect(await ask(service)).toEqual([503, problem(["keys"])]);
    issuer.isDown = false;
    await expect.poll(() => ask(service)).toEqual([200, { status: "ready" }]);
    // Keys that are held still serve.
    issuer.isDown = true;
    expect(await ask(service)).toEqual([200, { status: "ready" }]);
    expect(await service.logged(({ event }) => event === "service.ready")).toBeDefined();
  }),
);
