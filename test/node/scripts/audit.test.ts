/** `npm run audit` against registries of the test's own: the real npm asks them. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { expect, inject, it, onTestFinished } from "vitest";
import { listenOnLoopback } from "../../support/listen.ts";

const PROJECT = join(import.meta.dirname, "../../..");

type Severities = Readonly<Record<string, string>>;

interface Registry {
  readonly url: string;
  /** Names of the packages that it was asked about. */
  readonly asked: Set<string>;
}

/** A registry that has one advisory for each package that is named, of that severity; undefined: none at all is offered. */
async function registry(severities: Severities | undefined): Promise<Registry> {
  const asked = new Set<string>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const answer = (status: number, body: unknown) => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(body));
      };
      const path = decodeURIComponent(request.url ?? "");
      if (path.startsWith("/-/npm/v1/security/")) {
        if (!severities || !path.endsWith("/advisories/bulk")) return answer(404, {});
        const body = Buffer.concat(chunks);
        const zipped = request.headers["content-encoding"] === "gzip";
        const names = JSON.parse((zipped ? gunzipSync(body) : body).toString()) as object;
        for (const name of Object.keys(names)) asked.add(name);
        return answer(200, advisories(severities));
      }
      const name = path.slice(1);
      const version = { name, version: "1.0.0", dist: {} };
      answer(200, { name, "dist-tags": { latest: "1.0.0" }, versions: { "1.0.0": version } });
    });
  });
  const port = await listenOnLoopback(server);
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${port}/`, asked };
}

function advisories(severities: Severities) {
  return Object.fromEntries(
    Object.entries(severities).map(([name, severity], n) => [
      name,
      [
        {
          id: n + 1,
          url: "https://advisory.example",
          title: "A hole",
          severity,
          vulnerable_versions: "*",
        },
      ],
    ]),
  );
}

async function audit(url: string): Promise<{ code: number; stdout: string }> {
  // npm keeps advisories by their ids, and these are made up.
  const cache = await mkdtemp(join(tmpdir(), "holdfast-audit-"));
  onTestFinished(() => rm(cache, { recursive: true, force: true }));
  return promisify(execFile)(process.execPath, [join(PROJECT, "scripts/audit.ts")], {
    cwd: PROJECT,
    env: { ...process.env, npm_config_registry: url, npm_config_cache: cache },
  }).then(
    ({ stdout }) => ({ code: 0, stdout }),
    (failure: { code: number; stdout: string }) => failure,
  );
}

it("passes where the registry knows of nothing, having been asked about what ships", async () => {
  const { url, asked } = await registry({});
  expect(await audit(url)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^audit: 0 /) });
  for (const name of ["hono", "jose", "zod", "ioredis"]) expect(asked).toContain(name);
});

it.each(["high", "critical"])(
  "fails on a hole of %s severity, and names what has it",
  async (severity) => {
    const { url } = await registry({ hono: severity, ioredis: severity });
    const { code, stdout } = await audit(url);
    expect(code).toBe(1);
    expect(stdout).toBe("audit: 2 packages that ship have a known hole: hono, ioredis\n");
  },
);

it("counts all that the Worker's bundle holds", async () => {
  const map = `${inject("bundle")}.map`;
  const { sources } = JSON.parse(await readFile(map, "utf8")) as { sources: string[] };
  const names = sources
    // A package that another one carries within itself is not installed, and the registry has no advisory for it.
    .filter((source) => existsSync(join(dirname(map), source)))
    .flatMap((source) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1] ?? []);
  expect(names).toContain("hono");
  const { url } = await registry(Object.fromEntries(names.map((name) => [name, "critical"])));
  const { stdout } = await audit(url);
  const named = stdout.split(": ").at(-1)?.trim().split(", ");
  expect(named).toEqual(expect.arrayContaining([...new Set(names)]));
});

it("passes on lesser holes, and on holes in what does not ship", async () => {
  const { url } = await registry({ hono: "moderate", ioredis: "low", vitest: "critical" });
  expect(await audit(url)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^audit: 0 /) });
});

it("passes and says so where the registry offers no audit", async () => {
  const { url } = await registry(undefined);
  expect(await audit(url)).toMatchObject({
    code: 0,
    stdout: "audit: the registry gave no answer, nothing was checked\n",
  });
});

it("passes and says so where there is no registry", async () => {
  // Nothing can listen on port 0.
  expect(await audit("http://127.0.0.1:0/")).toMatchObject({
    code: 0,
    stdout: "audit: the registry gave no answer, nothing was checked\n",
  });
});
