import { expect, it } from "vitest";
import { devArguments } from "../../../scripts/start.ts";

it("hands the variables of the environment to wrangler dev, and no others", () => {
  const env = {
    PATH: "/bin",
    LOG_LEVEL: "debug",
    TICKET_SECRET: "",
    UPSTREAMS: '{"a":{"url":"x"}}',
  };
  expect(devArguments(["--inspector-port", "0"], env)).toEqual([
    "--var",
    'UPSTREAMS:{"a":{"url":"x"}}',
    "--var",
    "LOG_LEVEL:debug",
    "--inspector-port",
    "0",
  ]);
});

it("hands on the secrets that UPSTREAMS names", () => {
  expect(devArguments([], { TOKEN: "hush" }, ["TOKEN", "ABSENT"])).toEqual(["--var", "TOKEN:hush"]);
});

it("takes address, port and folder as the arguments that mean the same, unless those are given", () => {
  const env = { HOST: "::1", PORT: "9000", STATE_DIR: "/srv/state" };
  expect(devArguments([], env)).toEqual([
    "--ip",
    "::1",
    "--port",
    "9000",
    "--persist-to",
    "/srv/state",
  ]);
  expect(devArguments(["--port=9001", "--persist-to", "x"], env)).toEqual([
    "--ip",
    "::1",
    "--port=9001",
    "--persist-to",
    "x",
  ]);
});

it("leaves the path of a script in front: --var would take it", () => {
  expect(devArguments(["other.ts", "--port", "1"], { LOG_LEVEL: "warn" })).toEqual([
    "other.ts",
    "--var",
    "LOG_LEVEL:warn",
    "--port",
    "1",
  ]);
});
