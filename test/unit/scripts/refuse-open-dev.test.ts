import { expect, it } from "vitest";
import { openDevRefusal } from "../../../scripts/refuse-open-dev.ts";

it.each([
  ["another address", ["--ip", "0.0.0.0"], {}],
  ["in one word", ["--port", "9000", "--ip=192.0.2.1"], {}],
  ["every address of IPv6", ["--ip", "::"], {}],
  ["another variable", ["--ip", "0.0.0.0", "--var", "LOG_LEVEL:debug"], { LOG_LEVEL: "debug" }],
  ["an empty AUTH", ["--ip", "0.0.0.0", "--var", "AUTH:"], { AUTH: "" }],
])("refuses to serve others without AUTH: %s", (_what, args, configured) => {
  expect(openDevRefusal(args, () => configured)).toMatch(
    /^--ip .* is reachable by others, so AUTH must be set/,
  );
});

it.each([
  ["no address", ["--port", "9000"], {}],
  ["this machine", ["--ip", "127.0.0.1"], {}],
  ["this machine by name", ["--ip", "localhost"], {}],
  ["this machine in IPv6", ["--ip", "::1"], {}],
  [
    "AUTH as an argument",
    ["--ip", "0.0.0.0", "--var", "LOG_LEVEL:debug", "--var", "AUTH:token"],
    {},
  ],
  ["AUTH in a file", ["--ip", "0.0.0.0"], { AUTH: "token" }],
])("starts: %s", (_what, args, configured) => {
  expect(openDevRefusal(args, () => configured)).toBeUndefined();
});
