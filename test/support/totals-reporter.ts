import type { Reporter, TestModule } from "vitest/node";

/** Prints the closing line that CI reads: `N passed, N failed`, with `, N skipped` where any were. */
export default class TotalsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const totals = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) totals[test.result().state]++;
      // A file that cannot be loaded has no tests to fail, and must not pass for that.
      if (module.errors().length > 0) totals.failed++;
    }
    const skipped = totals.skipped + totals.pending;
    const tail = skipped > 0 ? `, ${skipped} skipped` : "";
    console.log(`\n${totals.passed} passed, ${totals.failed} failed${tail}`);
  }
}
