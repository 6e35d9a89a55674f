/**
 * Where Cloudflare makes the objects: `JURISDICTION`, which binds their storage and their work to a place
 * by contract, and `LOCATION_HINT`, a wish for the first time that an object is made.
 */
import { oneOf, text, type Environment } from "./env.ts";

export const JURISDICTIONS = ["eu", "us", "fedramp"] as const;
export const LOCATION_HINTS = [
  "wnam",
  "enam",
  "sam",
  "weur",
  "eeur",
  "apac",
  "apac-ne",
  "apac-se",
  "oc",
  "afr",
  "me",
] as const;

export type Jurisdiction = (typeof JURISDICTIONS)[number];
export type LocationHint = (typeof LOCATION_HINTS)[number];

export interface Location {
  readonly jurisdiction?: Jurisdiction;
  readonly locationHint?: LocationHint;
}

/** Reads both variables. Throws a ConfigError for a value that Cloudflare does not have. */
export function locationOf(env: Environment<"JURISDICTION" | "LOCATION_HINT">): Location {
  const isSet = (name: keyof typeof env) => text(env, name) !== undefined;
  return Object.freeze({
    ...(isSet("JURISDICTION") && {
      jurisdiction: oneOf(env, "JURISDICTION", JURISDICTIONS, "eu"),
    }),
    ...(isSet("LOCATION_HINT") && {
      locationHint: oneOf(env, "LOCATION_HINT", LOCATION_HINTS, "weur"),
    }),
  });
}

/** The part of a namespace of objects that finds an object. */
type Finds = Pick<DurableObjectNamespace, "idFromName" | "get">;

/** workerd throws this where there is no Cloudflare, such as under `wrangler dev`. */
const NOT_HERE = "Jurisdiction restrictions are not implemented in workerd.";

/**
 * The namespace whose objects are where they must and should be. Where the platform has no
 * jurisdictions, this calls `onAbsent` and has objects without one. Throws any other failure of the
 * platform: on Cloudflare no object may be made elsewhere.
 */
export function located<N extends Finds>(
  namespace: N & Partial<Pick<DurableObjectNamespace, "jurisdiction">>,
  { jurisdiction, locationHint }: Location,
  onAbsent?: () => void,
): Pick<N, "idFromName" | "get"> {
  let within: Finds = namespace;
  if (jurisdiction !== undefined) {
    try {
      if (!namespace.jurisdiction) throw new Error(NOT_HERE);
      within = namespace.jurisdiction(jurisdiction);
    } catch (failure) {
      if (!(failure instanceof Error) || failure.message !== NOT_HERE) throw failure;
      onAbsent?.();
    }
  }
  // The platform's types lose the class of the objects on the way.
  if (locationHint === undefined) return within as N;
  const hint = { locationHint };
  return {
    idFromName: (name) => within.idFromName(name),
    get: (id: DurableObjectId) => within.get(id, hint),
  } as N;
}
