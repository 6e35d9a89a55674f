import { expect, it } from "vitest";
import { AUTH_VARIABLES } from "../../../src/auth/settings.ts";
import { refuseMisspelt } from "../../../src/config/names.ts";
import { CONFIG_VARIABLES } from "../../../src/config/service.ts";

const OURS = [...CONFIG_VARIABLES, ...AUTH_VARIABLES, "HOST", "PORT", "STATE_DIR"];

it.each([
  ["SESION_TTL_SECONDS", "SESSION_TTL_SECONDS"],
  ["SESSION_TTL_SECOND", "SESSION_TTL_SECONDS"],
  ["LOGLEVEL", "LOG_LEVEL"],
  ["LOG_LEVLE", "LOG_LEVEL"],
  ["TICKET_SECRETS", "TICKET_SECRET"],
  ["UPSTREAM", "UPSTREAMS"],
  ["API_TOKEN", "API_TOKENS"],
  ["JWKS_URI", "JWKS_URL"],
  ["STATEDIR", "STATE_DIR"],
  ["Log_Level", "LOG_LEVEL"],
  ["AUHT", "AUTH"],
  ["PROT", "PORT"],
])("%s is misspelt", (name, meant) => {
  const message = `there is no variable ${name}; is it meant to be ${meant}?`;
  expect(() => refuseMisspelt({ [name]: "x" }, OURS)).toThrow(message);
});

it.each([
  "PATH",
  "HOME",
  "host",
  "PORT_2",
  "PORT2",
  "HOLDFAST_PORT",
  "MY_AUTH",
  "TICKET_SECRET_2",
  "STATE_DIRECTORY",
  "HOSTNAME",
  "LOGNAME",
  "PUBLIC",
])("%s is another program's", (name) => {
  expect(() => refuseMisspelt({ [name]: "x" }, OURS)).not.toThrow();
});

it("leaves ours alone, those that have another meaning here, and empty ones", () => {
  const all = Object.fromEntries(OURS.map((name) => [name, "x"]));
  expect(() => refuseMisspelt(all, OURS)).not.toThrow();
  expect(() => refuseMisspelt({ API_TOKEN: "x" }, OURS, ["API_TOKEN"])).not.toThrow();
  expect(() => refuseMisspelt({ API_TOKEN: "", LOGLEVEL: undefined }, OURS)).not.toThrow();
});
