import * as module from "ai-sdk-mcp-old";
import { driveAiSdk } from "./ai-sdk.mjs";

await driveAiSdk(module);
