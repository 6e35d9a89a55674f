import { expect, it, vi } from "vitest";
import {
  JURISDICTIONS,
  located,
  LOCATION_HINTS,
  locationOf,
} from "../../../src/config/location.ts";

/** A namespace that says which of its kind was asked, and with what. */
function namespace(name = "anywhere") {
  const asked: unknown[] = [];
  const made = {
    asked,
    idFromName: (id: string) => `${name}/${id}` as unknown as DurableObjectId,
    get: (id: DurableObjectId, options?: unknown) => {
      asked.push([id, options]);
      return undefined as never;
    },
    jurisdiction: (place: string) => {
      const within = namespace(place);
      return { ...within, get: (id: DurableObjectId, options?: unknown) => made.get(id, options) };
    },
  };
  return made as unknown as Pick<DurableObjectNamespace, "idFromName" | "get" | "jurisdiction"> & {
    readonly asked: unknown[];
  };
}

it("reads what Cloudflare has, and refuses the rest", () => {
  expect(locationOf({})).toEqual({});
  for (const jurisdiction of JURISDICTIONS) {
    expect(locationOf({ JURISDICTION: jurisdiction })).toEqual({ jurisdiction });
  }
  for (const locationHint of LOCATION_HINTS) {
    expect(locationOf({ LOCATION_HINT: locationHint })).toEqual({ locationHint });
  }
  expect(() => locationOf({ JURISDICTION: "EU" })).toThrow(
    "JURISDICTION must be one of eu, us, fedramp",
  );
  expect(() => locationOf({ LOCATION_HINT: "eu" })).toThrow("LOCATION_HINT must be one of wnam");
});

it("finds objects in the jurisdiction, and asks for them near the hint", () => {
  const all = namespace();
  const there = located(all, { jurisdiction: "eu", locationHint: "weur" });
  there.get(there.idFromName("a"));
  expect(all.asked).toEqual([["eu/a", { locationHint: "weur" }]]);
});

it("is the namespace itself where neither is set", () => {
  const all = namespace();
  expect(located(all, {})).toBe(all);
});

it("goes without a jurisdiction where the platform has none, and says so", () => {
  const all = namespace();
  const absent = () => {
    throw new Error("Jurisdiction restrictions are not implemented in workerd.");
  };
  const onAbsent = vi.fn();
  const local = { ...all, jurisdiction: absent };
  expect(located(local, { jurisdiction: "us" }, onAbsent)).toBe(local);
  expect(onAbsent).toHaveBeenCalledOnce();
});

it("has no object elsewhere where the platform fails", () => {
  const failing = {
    ...namespace(),
    jurisdiction: () => {
      throw new Error("internal error");
    },
  };
  expect(() => located(failing, { jurisdiction: "eu" })).toThrow("internal error");
});
