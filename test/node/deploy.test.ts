/** The package as somebody runs it who has nothing else: by `npx`, and as the image of deploy/Dockerfile. */
import { execFile, execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PROJECT } from "../../scripts/bundle.ts";
import { apiTokens } from "../support/api-tokens.ts";
import { run } from "../support/command.ts";
import { freePort } from "../support/free-port.ts";
import { packed } from "../support/packed.ts";
import { AS_NOBODY, giveToNobody, MACHINE_PATH, nodeForNobody } from "../support/unprivileged.ts";

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "holdfast-deploy-"));
  chmodSync(home, 0o755);
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

function makeFolder(name: string): string {
  const folder = join(home, name);
  mkdirSync(folder);
  return folder;
}

/** A folder of that user's, in which the service makes its own. */
function stateOfNobody(name: string): string {
  const parent = makeFolder(name);
  giveToNobody(parent);
  return join(parent, "state");
}

/** A folder of that user's as a new file system is: anybody may look into it, and nobody into `lost+found`. */
function volumeOfNobody(name: string): string {
  const volume = makeFolder(name);
  chmodSync(volume, 0o755);
  mkdirSync(join(volume, "lost+found"), { mode: 0 });
  giveToNobody(volume);
  return volume;
}

/** Every file with its time: what somebody writes shows. */
const written = (folder: string) =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => [name, statSync(join(folder, name)).mtimeMs] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));

const asNobody = (command: readonly string[], env: Record<string, string>, cwd: string) => {
  const [program = "", ...args] = [...AS_NOBODY, ...command];
  return run(args, { HOME: "/nonexistent", ...env }, program, cwd);
};

const ONLINE = { npm_config_prefer_offline: "true", npm_config_audit: "false" };

it("answers in an empty folder after `npm i TARBALL workerd && npx holdfast serve`", async () => {
  const folder = makeFolder("empty");
  const { version } = JSON.parse(
    readFileSync(join(PROJECT, "node_modules/workerd/package.json"), "utf8"),
  ) as { version: string };
  // The newest one would be another from day to day.
  const args = ["i", "--no-fund", await packed(), `workerd@${version}`];
  const env = { ...process.env, ...ONLINE, PATH: MACHINE_PATH };
  await promisify(execFile)("npm", args, { cwd: folder, env });
  const before = written(folder);
  const state = stateOfNobody("npx-state");
  const own = { PATH: MACHINE_PATH, PORT: String(await freePort()), STATE_DIR: state };
  const service = asNobody(["npx", "holdfast", "serve"], own, folder);
  const url = (await service.printed(/^holdfast listening on /)).split(" ").at(-1);
  const made = await fetch(`${url}/v1/sessions`, { method: "POST" });
  expect(made.status).toBe(201);
  for (const page of ["/", "/console", "/console/console.js"]) {
    expect((await fetch(`${url}${page}`)).status).toBe(200);
  }
  expect(written(folder)).toEqual(before);
  expect((statSync(state).mode & 0o777).toString(8)).toBe("700");
});

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

const dockerfile = readFileSync(join(PROJECT, "deploy/Dockerfile"), "utf8");
/** The instructions of the last stage, the image itself. */
const instructions: readonly Instruction[] = dockerfile
  .slice(dockerfile.lastIndexOf("\nFROM "))
  .split("\n")
  .flatMap((line) => {
    const [, name = "", rest = ""] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    return name === "" ? [] : [{ name, rest }];
  });
const only = (name: string): string => {
  const found = instructions.filter((one) => one.name === name);
  expect(found).toHaveLength(1);
  return found[0]?.rest ?? "";
};
const words = (list: string) => JSON.parse(list) as string[];

/** Takes the steps of the image in a folder, but for those that change the system around it. */
async function buildTree(folder: string): Promise<void> {
  const tarball = await packed();
  const sources: Readonly<Record<string, string>> = {
    "/build/holdfast-*.tgz": tarball,
    "/build/deploy/package.json": join(PROJECT, "deploy/package.json"),
  };
  for (const { name, rest } of instructions) {
    if (name === "COPY") {
      const [, from = "", to = ""] = /^--from=build (\S+) (\S+)$/.exec(rest) ?? [];
      copyFileSync(sources[from] ?? "", join(folder, to));
    } else if (name === "RUN" && !/^(apt-get|install) /.test(rest)) {
      await promisify(execFile)("sh", ["-ec", rest], {
        cwd: folder,
        env: { ...process.env, ...ONLINE },
      });
    }
  }
  execFileSync("chmod", ["-R", "a-w", folder]);
}

it("is an image that runs as nobody, with a tree that is only read", async () => {
  const folder = makeFolder("image");
  await buildTree(folder);
  try {
    expect(only("USER")).toBe("node");
    const env = Object.fromEntries(
      only("ENV")
        .split(" ")
        .map((one) => one.split("=")),
    );
    expect([env["HOST"], env["STATE_DIR"]]).toEqual(["0.0.0.0", only("VOLUME")]);
    const [, ...command] = words(only("CMD"));
    const node = nodeForNobody();
    const state = volumeOfNobody("image-state");
    const place = { ...env, PORT: String(await freePort()), STATE_DIR: state };

    const open = asNobody([node, ...command], place, folder);
    expect(await open.closed).toBe(1);
    expect(open.lines).toEqual([expect.stringContaining("HOST=0.0.0.0 is reachable by others")]);

    const { variable, headers } = await apiTokens({ ada: ["ada", ["sessions:write"]] });
    const access = { AUTH: "token", API_TOKENS: variable };
    const before = written(folder);
    const service = asNobody([node, ...command], { ...place, ...access }, folder);
    await service.printed(/^holdfast listening on /);
    const url = `http://127.0.0.1:${place.PORT}/v1/sessions`;
    const made = await fetch(url, { method: "POST", headers: headers["ada"] ?? {} });
    expect(made.status).toBe(201);
    expect(written(folder)).toEqual(before);

    const [, probe = "[]"] = /CMD (.*)$/.exec(only("HEALTHCHECK")) ?? [];
    const [, ...check] = words(probe);
    expect(await asNobody([node, ...check], place, folder).exit).toBe(0);
    service.process.kill("SIGTERM");
    expect(await service.exit).toBe(0);
    expect(await asNobody([node, ...check], place, folder).exit).toBe(1);

    // A file that another user restored is whole: the service neither mends it nor takes it for damaged.
    const alarms = "objects/SessionObject/metadata.sqlite";
    chmodSync(join(state, alarms), 0);
    const stored = written(join(state, "objects"));
    const closed = asNobody([node, ...command], { ...place, ...access }, folder);
    expect(await closed.closed).toBe(1);
    expect(closed.lines).toEqual([
      `holdfast: STATE_DIR=${state} cannot be used: this user cannot read and write ${alarms} in it (EACCES)`,
    ]);
    expect(written(join(state, "objects"))).toEqual(stored);
  } finally {
    execFileSync("chmod", ["-R", "u+w", folder]);
  }
});

it("pins in the image the workerd that the tests run", () => {
  const version = (path: string) =>
    (JSON.parse(readFileSync(join(PROJECT, path), "utf8")) as { version: string }).version;
  const image = JSON.parse(readFileSync(join(PROJECT, "deploy/package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  expect(image.dependencies["workerd"]).toBe(version("node_modules/workerd/package.json"));
});

it("says what is missing without a build, or without workerd", async () => {
  const folder = makeFolder("bare");
  execFileSync("cp", ["-r", join(dirname(await packed()), "package"), folder]);
  const command = join(folder, "package/bin/holdfast.js");
  const without = run([command, "serve"], { STATE_DIR: join(folder, "state"), PORT: "0" });
  expect(await without.closed).toBe(1);
  expect(without.lines).toEqual([
    "holdfast: the package workerd is not there; npm install workerd",
  ]);
  rmSync(join(folder, "package/dist"), { recursive: true });
  const unbuilt = run([command, "serve"], {});
  expect(await unbuilt.closed).toBe(1);
  expect(unbuilt.lines).toEqual([expect.stringMatching(/^holdfast: there is no build here: run /)]);
});

it("in the repository `npm run serve` says what to do without the development dependencies", async () => {
  const folder = makeFolder("repository");
  for (const name of ["scripts", "src"]) mkdirSync(join(folder, name));
  copyFileSync(join(PROJECT, "scripts/ensure-built.js"), join(folder, "scripts/ensure-built.js"));
  const { scripts } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const { preserve, serve } = scripts;
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ type: "module", scripts: { preserve, serve } }),
  );
  const asked = run(["run", "--silent", "serve"], {}, "npm", folder);
  expect(await asked.closed).toBe(1);
  expect(asked.lines).toEqual([
    "holdfast: a build needs the development dependencies: run `npm ci && npm run build`, then serve",
  ]);
});
