/** `npm run bench` runs every suite, `npm run bench -- NAME…` those that are named. */
import { publishReport, type Report } from "./report.ts";
import { cost } from "./suites/cost.ts";
import { growth } from "./suites/growth.ts";
import { floor } from "./suites/floor.ts";

const SUITES: Readonly<Record<string, () => Promise<Report>>> = { floor, cost, growth };

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in SUITES));
if (unknown.length > 0) {
  console.error(
    `bench: no suite ${unknown.join(", ")}; there are ${Object.keys(SUITES).join(", ")}`,
  );
  process.exitCode = 1;
} else {
  for (const [name, suite] of Object.entries(SUITES)) {
    if (asked.length === 0 || asked.includes(name)) await publishReport(await suite());
  }
}
