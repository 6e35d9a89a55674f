/** docs/options.md against the code: which variables there are, their defaults, and what values they take. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AUTH_VARIABLES, loadAuthSettings } from "../../../src/auth/settings.ts";
import { CONFIG_VARIABLES, loadConfig } from "../../../src/config/service.ts";

const PROJECT = join(import.meta.dirname, "../../..");
/** Read by scripts/serve.ts itself, not by the service. */
const SERVE_VARIABLES = ["HOST", "PORT", "STATE_DIR"];

const text = readFileSync(join(PROJECT, "docs/options.md"), "utf8");
const rows = [...text.matchAll(/^\| `([A-Z_]+)` \|([^|]*)\|[^|]*\|([^|]*)\|/gm)].map(
  ([, name = "", fallback = "", range = ""]) => ({
    name,
    fallback: fallback.trim(),
    range: /^([\d.]+) to (\d+)$/.exec(range.trim())?.slice(1).map(Number),
  }),
);
const numeric = rows.flatMap(({ name, fallback, range }) =>
  range && !SERVE_VARIABLES.includes(name)
    ? [{ name, fallback, least: range[0] ?? NaN, most: range[1] ?? NaN }]
    : [],
);

/** Everything that the service makes of an environment, with limits in force. */
const load = (env: Record<string, string>) => [
  loadConfig(env),
  loadAuthSettings({ AUTH: "none", ...env }),
];

describe("docs/options.md", () => {
  it("has one row for each variable that the service reads, and no other", () => {
    const read = [...CONFIG_VARIABLES, ...AUTH_VARIABLES, ...SERVE_VARIABLES];
    expect(rows.map(({ name }) => name).toSorted()).toEqual(read.toSorted());
  });

  it("gives a range for most of them", () => {
    expect(numeric.length).toBeGreaterThan(14);
  });

  it.each(numeric)("says the default of $name", ({ name, fallback }) => {
    expect(load({ [name]: fallback })).toEqual(load({}));
  });

  it.each(numeric)("says the range of $name", ({ name, least, most }) => {
    for (const value of [least, most]) {
      expect(() => load({ [name]: String(value) })).not.toThrow();
    }
    const step = Number.isInteger(least) ? 1 : least / 2;
    // Below a least of 0 there is no value to write; and 0 itself means no limit for some.
    const beyond = least - step > 0 ? [least - step, most + 1] : [most + 1];
    for (const value of beyond) {
      expect(() => load({ [name]: String(value) })).toThrow(`${name} must be`);
    }
  });

  it("says the defaults of the two texts that have one", () => {
    expect(rows.find(({ name }) => name === "LOG_LEVEL")?.fallback).toBe(loadConfig({}).logLevel);
    expect(rows.find(({ name }) => name === "PORT")?.fallback).toBe("8788");
    expect(readFileSync(join(PROJECT, "scripts/serve.ts"), "utf8")).toContain(
      'integer(own, "PORT", 8788, ',
    );
  });
});
