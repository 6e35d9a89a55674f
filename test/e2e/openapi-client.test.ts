/** A client that openapi-typescript generates from the service's own document: it compiles, and calls the service. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { transform } from "esbuild";
import { expect, it, onTestFinished } from "vitest";
import { Service } from "../support/service.ts";

const run = promisify(execFile);
const PROJECT = join(import.meta.dirname, "../..");

/** A program that uses the generated types, through openapi-fetch. */
const PROGRAM = `
import createClient from "openapi-fetch";
import type { components, paths } from "./api";

declare const process: { readonly argv: readonly string[] };
const client = createClient<paths>({ baseUrl: process.argv[2] ?? "" });

const made = await client.POST("/v1/sessions", { body: { metadata: { user: "ada" } } });
const session: components["schemas"]["Session"] | undefined = made.data;
const path = { id: session?.id ?? "" };
const published = await client.POST("/v1/sessions/{id}/events", {
  params: { path, header: { "Idempotency-Key": "once" } },
  body: { event: "greeting", data: { hello: "world" } },
});
const page = await client.GET("/v1/sessions/{id}/events", {
  params: { path, query: { limit: 1 } },
  headers: { accept: "application/json" },
});
// Text where it is a stream.
const events = typeof page.data === "object" ? page.data.events : [];
const end = await client.POST("/v1/sessions/{id}/end", { params: { path } });
const stream = await client.GET("/v1/sessions/{id}/events", {
  params: { path, query: { from: "earliest" } },
  parseAs: "text",
});
const frame: components["schemas"]["EventFrame"] = { event: "greeting", data: "", id: "" };
const list = await client.GET("/v1/sessions", { params: { query: { limit: 10 } } });
const count = await client.GET("/v1/sessions/count");
const deleted = await client.DELETE("/v1/sessions/{id}", { params: { path } });
const missing = await client.GET("/v1/sessions/{id}", { params: { path } });
const problem: components["schemas"]["Problem"] | undefined = missing.error;

// The types are exact: these two lines do not compile if a session may have any member, or an event no data.
const hasOnlyItsMembers: "nonsense" extends keyof NonNullable<typeof session> ? false : true = true;
const needsData: { event: string } extends components["schemas"]["NewEvent"] ? false : true = true;

console.log(
  JSON.stringify({
    user: session?.metadata["user"],
    status: published.response.status,
    data: events.map(({ event, data }) => [event, data]),
    ended: typeof end.data?.id,
    stream: String(stream.data).match(/^event: .*/gm),
    frame: Object.keys(frame),
    listed: list.response.status,
    count: typeof count.data?.count,
    deleted: deleted.response.status,
    problem: problem?.code,
    exact: hasOnlyItsMembers && needsData,
  }),
);
`;

/**
 * The generator needs the compiler's API, which TypeScript 7 does not have (its issue 2841). So it gets
 * the compiler that the checker of the package's types brings.
 */
async function generate(document: object): Promise<string> {
  const checker = import.meta.resolve("@arethetypeswrong/core");
  const hooks = registerHooks({
    resolve: (specifier, context, next) =>
      next(specifier, specifier === "typescript" ? { ...context, parentURL: checker } : context),
  });
  try {
    const { astToString, default: typesOf } = await import("openapi-typescript");
    return astToString(await typesOf(structuredClone(document) as Parameters<typeof typesOf>[0]));
  } finally {
    hooks.deregister();
  }
}

it("compiles strictly, and makes, publishes, reads, follows and ends", async () => {
  const service = await Service.start();
  const document = (await (await service.fetch("/openapi.json")).json()) as object;
  const folder = mkdtempSync(join(tmpdir(), "holdfast-openapi-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  symlinkSync(join(PROJECT, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(join(folder, "api.d.ts"), await generate(document));
  writeFileSync(join(folder, "program.ts"), PROGRAM);
  const { code } = await transform(PROGRAM, { loader: "ts" });
  writeFileSync(join(folder, "program.js"), code);
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    module: "esnext",
    moduleResolution: "bundler",
    target: "es2024",
    lib: ["es2024", "dom"],
    types: [],
    skipLibCheck: false,
    noEmit: true,
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  await run(join(PROJECT, "node_modules/.bin/tsc"), ["-p", folder]);
  const { stdout } = await run(process.execPath, [join(folder, "program.js"), service.url]);
  expect(JSON.parse(stdout)).toEqual({
    user: "ada",
    status: 202,
    data: [["greeting", '{"hello":"world"}']],
    ended: "string",
    stream: ["event: greeting", "event: ended"],
    frame: ["event", "data", "id"],
    listed: 200,
    count: "number",
    deleted: 204,
    problem: "session_not_found",
    exact: true,
  });
});
