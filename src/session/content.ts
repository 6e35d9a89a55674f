/** What a session holds for its owner: metadata and data, their merging and their bounds. */
import type { ErrorCode } from "./errors.ts";
import type { Metadata } from "./host.ts";
import { MAX_DATA_BYTES, MAX_METADATA_BYTES, MAX_METADATA_KEYS } from "./limits.ts";
import { mergePatch, type Json } from "./merge-patch.ts";
import { exceeds } from "./size.ts";

export interface ContentProblem {
  readonly code: ErrorCode;
  readonly detail: string;
}

/** Whether metadata and data are within their bounds; undefined where they are. */
export function contentProblem(
  metadata: Metadata,
  dataJson: string | undefined,
): ContentProblem | undefined {
  const keys = Object.keys(metadata).length;
  if (keys > MAX_METADATA_KEYS) {
    return {
      code: "invalid_request",
      detail: `metadata: has ${keys} keys, at most ${MAX_METADATA_KEYS} are allowed`,
    };
  }
  if (exceeds(JSON.stringify(metadata), MAX_METADATA_BYTES)) {
    return { code: "payload_too_large", detail: `metadata: is over ${MAX_METADATA_BYTES} bytes` };
  }
  if (dataJson !== undefined && exceeds(dataJson, MAX_DATA_BYTES)) {
    return { code: "payload_too_large", detail: `data: is over ${MAX_DATA_BYTES} bytes` };
  }
  return undefined;
}

/** Applies a merge patch to metadata: a null value removes its key, null for the whole removes all. */
export function patchMetadata(
  metadata: Metadata,
  patch: Readonly<Record<string, string | null>> | null,
): Metadata {
  if (patch === null) return {};
  const merged = new Map(Object.entries(metadata));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, value);
  }
  return Object.fromEntries(merged);
}

/** Applies a merge patch (JSON text) to data; undefined where nothing is left. */
export function patchData(dataJson: string | undefined, patchJson: string): string | undefined {
  if (patchJson === "null") return undefined;
  // JSON.parse answers JSON.
  const target = dataJson === undefined ? undefined : (JSON.parse(dataJson) as Json);
  return JSON.stringify(mergePatch(target, JSON.parse(patchJson) as Json));
}
