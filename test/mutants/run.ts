/** `npm run mutants`: puts small faults into the modules that decide, one at a time, and counts those that a test notices. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { OptionError, parseOptions, runCommand } from "../../scripts/command-line.ts";
import { installPackage } from "../support/own-package.ts";
import { MODULES } from "./modules.ts";
import { keepResult, LEAST, readResult, shareOf, tableOf, type FileReport } from "./results.ts";

const USAGE = `npm run mutants -- [--kept | --fresh] [file…]
  file…     these modules alone, such as src/core/expiry.ts or src/directory; else all.
            src/core/expiry.ts:30-45 tries these lines, and keeps no result
  --kept    prints the results that were kept, and tries nothing
  --fresh   tries each mutant again, also where the module and the test that noticed it are unchanged`;

const ROOT = join(import.meta.dirname, "../..");
const HERE = import.meta.dirname;
const STRYKER = join(HERE, "node_modules/@stryker-mutator");
const REPORT = "report.json";

await runCommand("mutants", USAGE, async (args) => {
  const flags = { kept: { type: "boolean" }, fresh: { type: "boolean" } } as const;
  const { values, positionals } = parseOptions(args, flags, true);
  const [kept = false, fresh = false] = [values.kept, values.fresh];
  const chosen = modulesOf(positionals);
  if (!kept) {
    await installPackage(HERE, "mutants: installing Stryker (npm ci in test/mutants, 60 MB)");
    for (const { module, lines } of chosen) await tryModule(module, lines, fresh);
  }
  const whole = chosen.filter(({ lines }) => lines === "").map(({ module }) => module);
  if (whole.length === 0) return;
  console.log(await tableOf(Object.keys(MODULES), whole));
  for (const module of whole) {
    const result = await readResult(module);
    if (!result || shareOf(result) < LEAST) process.exitCode = 1;
  }
});

/** Each module with the lines that are asked for, such as ":30-45". Throws an OptionError for a file that the table does not name. */
function modulesOf(files: readonly string[]): readonly { module: string; lines: string }[] {
  const all = Object.keys(MODULES);
  if (files.length === 0) return all.map((module) => ({ module, lines: "" }));
  return files.flatMap((file) => {
    const [, path = "", lines = ""] = /^(?:\.\/)?(?:src\/)?(.+?)\/?(:\d+-\d+)?$/.exec(file) ?? [];
    const found = all.filter((module) => module === path || module.startsWith(`${path}/`));
    if (found.length > 0) return found.map((module) => ({ module, lines }));
    throw new OptionError(
      `no tests are named for "${file}": give it a line in test/mutants/modules.ts`,
    );
  });
}

/** Stryker works on a copy, so a run that is killed leaves the sources as they were. */
async function tryModule(module: string, lines: string, fresh: boolean): Promise<void> {
  const tests = (MODULES[module] ?? [])
    .map((test) => `test/unit/${test}`)
    .filter((test) => existsSync(join(ROOT, test)));
  console.error(`mutants: ${module}${lines}${tests.length === 0 ? " has no unit tests yet" : ""}`);
  if (tests.length === 0) return;
  const folder = await mkdtemp(join(tmpdir(), "mutants-"));
  try {
    const settings = join(folder, "stryker.json");
    await writeFile(settings, JSON.stringify(settingsFor(module, lines, fresh, folder)));
    const stryker = spawn(
      process.execPath,
      [join(STRYKER, "core/bin/stryker.js"), "run", settings],
      {
        cwd: ROOT,
        stdio: ["ignore", lines === "" ? 2 : "inherit", "inherit"],
        env: { ...process.env, MUTANT_TESTS: tests.join(",") },
      },
    );
    const end = () => void stryker.kill();
    process.once("exit", end);
    const [status] = (await once(stryker, "exit")) as [number | null];
    process.off("exit", end);
    if (status !== 0) throw new Error(`Stryker ended with ${status} at ${module}`);
    if (lines !== "") return;
    const { files } = JSON.parse(await readFile(join(folder, REPORT), "utf8")) as {
      readonly files: Readonly<Record<string, FileReport>>;
    };
    for (const file of Object.values(files)) await keepResult(module, file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function settingsFor(module: string, lines: string, fresh: boolean, folder: string) {
  return {
    mutate: [`src/${module}${lines}`],
    // A wrong text is either a wrong type, which tsc refuses, or words for people.
    mutator: { excludedMutations: ["StringLiteral"] },
    testRunner: "vitest",
    plugins: [join(STRYKER, "vitest-runner/dist/src/index.js")],
    vitest: { configFile: "test/mutants/vitest.config.ts", related: false },
    coverageAnalysis: "perTest",
    // A mutant that was noticed before counts again while its code and the test are the same.
    incremental: lines === "",
    incrementalFile: join(HERE, "node_modules/.cache", `${module}.json`),
    force: fresh,
    concurrency: Math.min(2, availableParallelism()),
    // Milliseconds on top of what the tests take: it ends a mutant that hangs, and not a busy machine's.
    timeoutMS: 5000,
    reporters: lines === "" ? ["json", "progress-append-only"] : ["clear-text"],
    jsonReporter: { fileName: join(folder, REPORT) },
    clearTextReporter: { reportTests: false },
    tempDirName: join(folder, "copy"),
    // Stryker would read it with the compiler's API, which TypeScript 7 does not have.
    tsconfigFile: "none",
    logLevel: "warn",
    allowConsoleColors: false,
    ignorePatterns: ["dist", ".holdfast", ".wrangler", "docs", "bench", "deploy", "examples"],
  };
}
