/** As `SESSION_TYPES` of the service; a test compares them. */
export const SESSION_TYPES = ["mcp", "sse", "streamable", "task"] as const;
