const encoder = new TextEncoder();

/** Whether the text is over so many bytes in UTF-8. */
export function exceeds(text: string, maxBytes: number): boolean {
  // A UTF-16 unit is at least one byte in UTF-8 and at most three.
  if (text.length > maxBytes) return true;
  return text.length * 3 > maxBytes && encoder.encode(text).byteLength > maxBytes;
}
