/** Content negotiation, as far as MCP needs it. Pure. */

/** Whether the Accept header takes all of `types`. Absent, it takes everything (RFC 9110, 12.5.1). */
export function accepts(header: string | null, ...types: readonly string[]): boolean {
  if (header === null) return true;
  const ranges = header
    .split(",")
    .map((range) => range.split(";").map((part) => part.trim().toLowerCase()));
  return types.every((type) =>
    ranges.some(([range = "", ...params]) => matches(range, type) && !params.includes("q=0")),
  );
}

function matches(range: string, type: string): boolean {
  return range === "*/*" || range === type || range === `${type.split("/")[0]}/*`;
}

export function isJsonContent(header: string | null): boolean {
  return header?.split(";")[0]?.trim().toLowerCase() === "application/json";
}
