/** The types that ToolHive's session package defines (`SessionType`). */
export const SESSION_TYPES = ["mcp", "sse", "streamable"] as const;

export type KnownSessionType = (typeof SESSION_TYPES)[number];

/**
 * A session's type. Records of types that this version does not know survive a
 * round trip unchanged (ToolHive's behaviour), hence the open union.
 */
export type SessionType = KnownSessionType | (string & {});

export const DEFAULT_SESSION_TYPE: KnownSessionType = "mcp";

export function isKnownSessionType(type: string): type is KnownSessionType {
  return (SESSION_TYPES as readonly string[]).includes(type);
}
