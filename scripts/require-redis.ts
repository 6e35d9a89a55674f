/**
 * `npm test` needs a real Redis. Where none is installed, this installs one on
 * Debian, as root; elsewhere it says in one line what is missing.
 */
import { requireTools, thisMachine } from "./test-tools.ts";

const problem = requireTools(thisMachine());
if (problem !== undefined) {
  console.error(problem);
  process.exitCode = 1;
}
