import { expect, it } from "vitest";
import { openDevRefusal, type Named } from "../../../scripts/refuse-open-dev.ts";

const files = (auth?: unknown, ip?: string) => () => ({ auth, ip });

it.each([
  ["another address", ["--ip", "0.0.0.0"], files()],
  ["in one word", ["--port", "9000", "--ip=192.0.2.1"], files()],
  ["every address of IPv6", ["--ip", "::"], files()],
  ["every address, as wrangler writes it", ["--ip", "*"], files()],
  ["one of two", ["--ip", "127.0.0.1", "--ip", "0.0.0.0"], files()],
  ["another variable", ["--ip", "0.0.0.0", "--var", "LOG_LEVEL:debug"], files()],
  ["an empty AUTH", ["--ip", "0.0.0.0", "--var", "AUTH:"], files("")],
  ["an AUTH that an argument takes away", ["--ip", "0.0.0.0", "--var", "AUTH:"], files("token")],
  ["a tunnel", ["--tunnel"], files()],
  ["another configuration", ["-c", "other.toml"], files(undefined, "0.0.0.0")],
  ["the configuration", [], files(undefined, "0.0.0.0"), true],
])("refuses to serve others without AUTH: %s", (_what, args, configured, mayNameIp = false) => {
  expect(openDevRefusal(args, configured, mayNameIp)).toMatch(
    /^(--ip .*|--tunnel|ip = "0.0.0.0" in \[dev\]) is reachable by others, so AUTH must be set/,
  );
});

it.each([
  ["no address", ["--port", "9000"], files(undefined, "0.0.0.0")],
  ["this machine", ["--ip", "127.0.0.1"], files(undefined, "0.0.0.0"), true],
  ["this machine by name", ["--ip", "localhost"], files()],
  ["this machine in IPv6", ["--ip", "::1"], files()],
  ["this machine in the configuration", [], files(undefined, "localhost"), true],
  [
    "AUTH as an argument",
    ["--ip", "0.0.0.0", "--var", "LOG_LEVEL:debug", "--var", "AUTH:token"],
    files(),
  ],
  ["AUTH beside another", ["--ip", "0.0.0.0", "--var", "LOG_LEVEL:debug", "AUTH:token"], files()],
  ["AUTH in a file", ["--ip", "0.0.0.0"], files("token")],
  ["a tunnel with AUTH", ["--tunnel"], files("token")],
])("starts: %s", (_what, args, configured, mayNameIp = false) => {
  expect(openDevRefusal(args, configured, mayNameIp)).toBeUndefined();
});

it("reads the files that wrangler dev will read", () => {
  const read: Named[] = [];
  const configured = (named: Named) => (read.push(named), { auth: "token", ip: undefined });
  const args = ["--ip", "0.0.0.0", "-c", "a.toml", "-e", "staging", "--env-file", ".env.a"];
  expect(openDevRefusal(args, configured)).toBeUndefined();
  expect(read).toEqual([{ config: "a.toml", env: "staging", envFiles: [".env.a"] }]);
});
