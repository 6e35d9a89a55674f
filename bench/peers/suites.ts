/** What users would run instead, each a suite; `npm run bench -- peers` runs them all. */
import type { Report } from "../report.ts";
import type { Effort } from "../measure.ts";
import { gateways } from "./gateways/suite.ts";
import { mcpAgent } from "./mcp-agent/suite.ts";
import { nchan } from "./nchan/suite.ts";
import { expressSession } from "./express-session/suite.ts";

export const PEERS: Readonly<Record<string, (effort: Partial<Effort>) => Promise<Report>>> = {
  "mcp-agent": mcpAgent,
  gateways,
  nchan,
  "express-session": expressSession,
};
