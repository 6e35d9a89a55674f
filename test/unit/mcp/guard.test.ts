import { expect, it } from "vitest";
import { isAllowed } from "../../../src/mcp/guard.ts";

const NONE = { allowedOrigins: [], allowedHosts: [] };
const SOME = {
  allowedOrigins: ["https://app.example"],
  allowedHosts: ["mcp.internal", "box:8788"],
};

it.each([
  ["http://localhost:8787/mcp", undefined, NONE, true],
  ["http://127.0.0.1:8787/mcp", "http://localhost:3000", NONE, true],
  ["http://[::1]:8787/mcp", undefined, NONE, true],
  ["http://evil.example:8787/mcp", undefined, NONE, false],
  ["http://evil.example:8787/mcp", "http://evil.example:8787", NONE, false],
  ["http://localhost:8787/mcp", "http://evil.example", NONE, false],
  ["http://localhost:8787/mcp", "null", NONE, false],
  ["http://localhost.evil.example/mcp", undefined, NONE, false],
  ["https://mcp.example/mcp", undefined, NONE, true],
  ["https://mcp.example/mcp", "https://mcp.example", NONE, true],
  ["https://mcp.example/mcp", "https://evil.example", NONE, false],
  ["https://mcp.example/mcp", "https://app.example", SOME, true],
  ["http://mcp.internal:8788/mcp", undefined, SOME, true],
  ["http://box:8788/mcp", undefined, SOME, true],
  ["http://box:9999/mcp", undefined, SOME, false],
])("%s with Origin %s and %o: %s", (url, origin, options, allowed) => {
  expect(isAllowed(new URL(url), origin, options)).toBe(allowed);
});
