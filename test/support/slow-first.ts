/**
 * The order of the test files: those that take long come first in their project, since one that
 * starts late runs on alone when all others have ended. Vitest itself sorts by size where it has no
 * record of an earlier run, as on a clean checkout; a file that waits is often short.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const TESTS = join(import.meta.dirname, "..");

/** Files that take 12 s or more on two cores, the longest first. */
const SLOW = [
  "e2e/idle.test.ts",
  "e2e/examples/own-worker.test.ts",
  "e2e/soak.test.ts",
  "e2e/console.test.ts",
  "node/deploy.test.ts",
  "e2e/mcp/eras.property.test.ts",
  "e2e/mcp/eras-conformance.test.ts",
  "e2e/mcp/tasks/conformance.test.ts",
  "e2e/mcp/tasks/restart.test.ts",
  "e2e/readers.test.ts",
  "e2e/event-source-clients.test.ts",
  "node/package.test.ts",
  "e2e/survival.test.ts",
  "e2e/backup.test.ts",
  "e2e/import.test.ts",
  "e2e/serve.test.ts",
  "e2e/resume.property.test.ts",
  "e2e/examples/llm-stream.test.ts",
  "e2e/skew.test.ts",
  "e2e/access.test.ts",
  "node/library/redis-faults.test.ts",
  "e2e/mcp/clients.test.ts",
  "e2e/client.test.ts",
  "e2e/fuzz.test.ts",
  "e2e/examples/ai-sdk.test.ts",
  "e2e/crash.test.ts",
  "e2e/mcp/oauth.test.ts",
  "e2e/mcp/era-modern-client.test.ts",
  "workers/task-kinds-cost.test.ts",
  "workers/auth-matrix.test.ts",
  "workers/resume.property.test.ts",
].map((file) => join(TESTS, file));

/** The file's place among the slow ones, or behind them. */
function placeOf({ moduleId }: TestSpecification): number {
  const place = SLOW.indexOf(moduleId);
  return place === -1 ? SLOW.length : place;
}

export default class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const gone = SLOW.filter((file) => !existsSync(file));
    if (gone.length > 0) throw new Error(`test/support/slow-first.ts names ${gone.join(", ")}`);
    // Groups and projects stay apart, as they come from here.
    // oxlint-disable-next-line unicorn/no-array-sort -- this one is no array's
    const sorted = await super.sort(files);
    const projects = [...new Set(sorted.map(({ project }) => project))];
    return projects.flatMap((project) =>
      sorted.filter((file) => file.project === project).toSorted((a, b) => placeOf(a) - placeOf(b)),
    );
  }
}
