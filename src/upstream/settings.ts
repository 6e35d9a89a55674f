/**
 * `UPSTREAMS`: the MCP servers behind the gateway, by name. `default` is served
 * at `/mcp`, the others at `/mcp/{name}`. Unset, `default` is the demo server.
 */
import * as z from "zod";

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** Seconds that a timer in JavaScript can hold. */
const LONGEST_TIMEOUT_SECONDS = 86_400;

const url = z.url({ protocol: /^https?$/, error: "must be an http or https URL" });

const common = {
  /** Sent with every request; a value `$NAME` is the secret of that name. */
  headers: z.record(z.string().regex(/^[\w-]+$/), z.string()).default({}),
  /** How long the upstream may take to begin its answer, or to send it where it is JSON. */
  timeoutSeconds: z.number().min(0.05).max(LONGEST_TIMEOUT_SECONDS).default(60),
  transport: z.enum(["streamable", "sse"]).default("streamable"),
  /** Pass the client's Authorization header on. */
  forwardAuthorization: z.boolean().default(false),
};

const byUrl = z.strictObject({ url, replicas: z.array(url).default([]), ...common });
const byReplicas = z.strictObject({ replicas: z.array(url).min(1), ...common });
const byBinding = z.strictObject({ binding: z.string().min(1), ...common });
const demo = z.literal("demo");

const upstream = z.union([demo, byUrl, byReplicas, byBinding]);
const upstreams = z.record(z.string().regex(NAME), upstream);

export type UpstreamSettings = z.output<typeof upstream>;
export type UpstreamsSettings = Readonly<Record<string, UpstreamSettings>>;

export const DEFAULT_UPSTREAM = "default";

const UNSET: UpstreamsSettings = { [DEFAULT_UPSTREAM]: "demo" };

/** Reads `UPSTREAMS`. Throws an Error that says what is wrong, without the variable's name or any value of it. */
export function parseUpstreams(text: string | undefined): UpstreamsSettings {
  if (text === undefined) return UNSET;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("must be JSON");
  }
  const result = upstreams.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const name = issue?.path.map(String).join(".") ?? "";
  if (issue?.code !== "invalid_union")
    throw new Error(`${name}: ${issue?.message ?? "is invalid"}`);
  throw new Error(
    `${name}: must be "demo", or an object with url, replicas or binding, and optional headers, timeoutSeconds, transport, forwardAuthorization`,
  );
}

/** Names of the secrets that the headers refer to. */
export function secretNames(settings: UpstreamsSettings): string[] {
  return Object.values(settings).flatMap((one) =>
    one === "demo"
      ? []
      : Object.values(one.headers)
          .filter((value) => value.startsWith("$"))
          .map((value) => value.slice(1)),
  );
}
