/** The command line of `npm run matrix`. */
import { expect, it } from "vitest";
import { CLIENTS } from "../../matrix/clients.ts";
import { readOptions } from "../../matrix/options.ts";
import { SERVERS } from "../../matrix/servers.ts";

it("drives everything, and keeps the result", () => {
  expect(readOptions([])).toEqual({
    servers: SERVERS,
    clients: CLIENTS,
    conformance: true,
    lanes: 2,
    whole: true,
  });
});

it("drives the named ones alone, and keeps nothing", () => {
  const { servers, clients, conformance, whole } = readOptions([
    "--server",
    "hono,tmcp",
    "--client",
    "sdk-v1",
  ]);
  expect(servers.map(({ name }) => name)).toEqual(["hono", "tmcp"]);
  expect([clients, conformance, whole]).toEqual([["sdk-v1"], false, false]);
  expect(readOptions(["--conformance"])).toMatchObject({ servers: [], conformance: true });
});

it.each([
  [["--server", "nginx"], 'no server "nginx"'],
  [["--client", "sdk-v1,curl"], 'no client "curl"'],
  [["--conformance", "--server", "hono"], "--conformance drives no server"],
  [["--lanes", "0"], "--lanes must be"],
  [["hono"], "Unexpected argument 'hono'"],
])("refuses %j", (args, words) => {
  expect(() => readOptions(args)).toThrow(words);
});
