/** Packs the package for the tests that install it: once a run, when the first of them asks. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { PROJECT } from "../../scripts/bundle.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** A URL that answers with the path of the tarball; `packed()` asks it. */
    packer: string;
  }
}

/** Test files run in processes of their own, so they ask this one by HTTP. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-packed-"));
  let packing: Promise<string> | undefined;
  const server = createServer((_request, response) => {
    packing ??= pack(folder);
    packing.then(
      (tarball) => response.end(tarball),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  project.provide("packer", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return async () => {
    server.close();
    await packing?.catch(() => {});
    await rm(folder, { recursive: true, force: true });
  };
}

/**
 * Builds too, by the package's own prepack. Leaves the package beside the tarball, as npm unpacks it,
 * with workerd and ioredis where it looks for them.
 */
async function pack(folder: string): Promise<string> {
  const run = promisify(execFile);
  const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", folder], {
    cwd: PROJECT,
  });
  const tarball = join(folder, stdout.trim().split("\n").at(-1) ?? "");
  await run("tar", ["-xzf", tarball, "-C", folder]);
  await mkdir(join(folder, "node_modules"));
  for (const name of ["workerd", "ioredis"]) {
    await symlink(join(PROJECT, "node_modules", name), join(folder, "node_modules", name));
  }
  return tarball;
}
