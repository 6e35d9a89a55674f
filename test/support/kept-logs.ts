/** Keeps every line that the service logs in any test, so that test/logs can check them when all tests have run. */
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { UserConsoleLog } from "vitest";
import type { Reporter } from "vitest/node";

const FOLDER = join(
  dirname(dirname(dirname(fileURLToPath(import.meta.url)))),
  ".holdfast",
  "test-logs",
);

export function keepLog(text: string): void {
  mkdirSync(FOLDER, { recursive: true });
  appendFileSync(join(FOLDER, `${process.pid}.log`), text.endsWith("\n") ? text : `${text}\n`);
}

export function keptLines(): string[] {
  return readdirSync(FOLDER)
    .flatMap((name) => readFileSync(join(FOLDER, name), "utf8").split("\n"))
    .filter((line) => line !== "");
}

/** Keeps what is logged within the test processes, and forgets what the last run kept. */
export default class LogKeeper implements Reporter {
  onInit(): void {
    rmSync(FOLDER, { recursive: true, force: true });
  }

  onUserConsoleLog(log: UserConsoleLog): void {
    keepLog(log.content);
  }
}
