/**
 * `npm test` needs a real Redis and a real browser. Where they are not installed, this
 * installs them on Debian, as root; elsewhere it says in one line what is missing.
 */
import { requireTools, thisMachine } from "./test-tools.ts";

const problem = requireTools(thisMachine());
if (problem !== undefined) {
  console.error(problem);
  process.exitCode = 1;
}
