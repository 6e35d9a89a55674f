/** The zod that mcp-framework itself was installed with: it takes no schema of another. */
import { createRequire } from "node:module";

export const { z } = createRequire(import.meta.resolve("mcp-framework"))("zod");
