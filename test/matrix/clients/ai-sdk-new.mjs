import * as module from "@ai-sdk/mcp";
import { driveAiSdk } from "./ai-sdk.mjs";

await driveAiSdk(module);
