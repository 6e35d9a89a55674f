/**
 * The reference server, `server-everything`, answers through the gateway as it does direct. The
 * pinned version is made with the SDK's v1, which does not speak 2026-07-28: clients of that revision
 * reach it over the bridge alone.
 */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { describe, expect, it } from "vitest";
import { McpSession, textOf, toolCall } from "../../support/mcp/client.ts";
import { conformance, local } from "../../support/mcp/conformance.ts";
import { startEverything } from "../../support/mcp/everything.ts";
import { startGateway } from "../../support/mcp/gateway.ts";
import { atEnd, beside } from "../../support/scope.ts";
import { worse } from "../../matrix/cell.ts";
import { RunningClient, type ClientName } from "../../matrix/clients.ts";
import { REFERENCE, REFERENCE_OVER_SSE } from "../../matrix/servers.ts";

async function everythingBehindGateway() {
  const everything = await startEverything();
  const { url } = await startGateway({ default: { url: everything.url } });
  return { everything, url };
}

describe.concurrent("server-everything", () => {
  it(
    "2025-11-25: passes and fails the same scenarios, but for what the gateway does itself",
    beside(async () => {
      const { everything, url } = await everythingBehindGateway();
      const direct = await conformance(everything.url, "2025-11-25");
      const through = await conformance(local(url), "2025-11-25");
      expect(Object.values(direct.scenarios).filter(Boolean).length).toBeGreaterThan(10);
      expect(through.scenarios).toEqual({
        ...direct.scenarios,
        // The gateway refuses other hosts, answers 404 to what has ended, and polls as it must.
        "dns-rebinding-protection": true,
        "server-session-lifecycle": true,
        "server-sse-polling": true,
      });
    }),
    90_000,
  );

  it(
    "2026-07-28: passes over the bridge what it passes direct, and more",
    beside(async () => {
      const { everything, url } = await everythingBehindGateway();
      const passing = async (address: string) => {
        const { scenarios } = await conformance(address, "2026-07-28");
        return Object.keys(scenarios).filter((name) => scenarios[name]);
      };
      const direct = await passing(everything.url);
      const through = await passing(local(url));
      expect(through).toEqual(expect.arrayContaining(direct));
      expect(through).toEqual(expect.arrayContaining(["tools-list", "tools-call-simple-text"]));
      expect(direct).not.toContain("tools-list");
    }),
    90_000,
  );

  it(
    "shows the official client the same tools, prompts, resources, results and progress",
    beside(async () => {
      const { everything, url } = await everythingBehindGateway();
      const seenAt = async (address: string, mode: "legacy" | { pin: string }) => {
        const versionNegotiation = { mode };
        const client = new Client({ name: "t", version: "1" }, { versionNegotiation });
        await client.connect(new StreamableHTTPClientTransport(new URL(address)));
        atEnd(() => client.close());
        const progress: unknown[] = [];
        const onprogress = (one: unknown) => progress.push(one);
        const long = {
          name: "trigger-long-running-operation",
          arguments: { duration: 1, steps: 4 },
        };
        return {
          version: client.getNegotiatedProtocolVersion(),
          server: client.getServerVersion(),
          instructions: client.getInstructions(),
          tools: await client.listTools(),
          prompts: await client.listPrompts(),
          resources: await client.listResources(),
          templates: await client.listResourceTemplates(),
          echo: await client.callTool({ name: "echo", arguments: { message: "hi" } }),
          image: await client.callTool({ name: "get-tiny-image", arguments: {} }),
          long: await client.callTool(long, { onprogress }),
          progress,
        };
      };
      const direct = await seenAt(everything.url, "legacy");
      expect(direct.progress).toHaveLength(4);
      expect(await seenAt(url, "legacy")).toEqual(direct);
      const { server, instructions, echo, image, long, progress } = direct;
      const bridged = await seenAt(url, { pin: "2026-07-28" });
      expect(bridged).toMatchObject({ server, instructions, echo, image, long, progress });
      const names = ({ tools }: typeof direct) => tools.tools.map(({ name }) => name);
      expect([bridged.version, names(bridged)]).toEqual(["2026-07-28", names(direct)]);
    }),
    60_000,
  );

  // A short part of `npm run matrix`, which has more servers, more clients and more ways.
  // The Inspector's CLI connects anew for each call: clients.test.ts has it.
  it.each([
    ["Streamable HTTP", REFERENCE, "/mcp"],
    ["HTTP+SSE", REFERENCE_OVER_SSE, "/sse"],
  ] as const)(
    "over %s: the SDKs' clients see the same as direct, and go on when it was killed",
    beside(async (_name, kind, path) => {
      const server = await startEverything(kind);
      const { transport, calls } = kind;
      const { service } = await startGateway({ default: { url: server.url, transport } });
      const clientAt = (name: ClientName, url: string) => {
        const client = new RunningClient(name, url, transport, calls);
        atEnd(() => client.stop());
        return client;
      };
      const names = ["sdk-v1", "sdk-v2"] as const;
      const pairs = names.map((name) => ({
        direct: clientAt(name, server.url),
        through: clientAt(name, service.url + path),
      }));
      const seen = await Promise.all(
        pairs.map(async ({ direct, through }) => [
          { seen: await direct.seen },
          { seen: await through.seen },
        ]),
      );
      const differences = seen.map(([direct = {}, through = {}]) => worse(direct, through));
      expect(differences).toEqual(names.map(() => []));
      const [echo] = seen.map(([direct]) => direct?.seen.echo);
      expect(echo).toMatchObject({ content: [{ text: "Echo: hello" }] });
      await server.restart();
      const again = await Promise.all(pairs.map(({ through }) => through.call("echo")));
      expect(again).toEqual(names.map(() => echo));
    }),
    60_000,
  );

  it(
    "goes on when it is restarted, although it answers 400 to a session that it does not know",
    beside(async () => {
      const { everything, url } = await everythingBehindGateway();
      const session = await McpSession.open(url);
      await everything.restart();
      const calls = [1, 2, 3].map((id) => session.call(toolCall(id, "echo", { message: `${id}` })));
      const answers = await Promise.all(calls);
      expect(answers.map(({ status, messages }) => [status, textOf(messages[0])])).toEqual(
        [1, 2, 3].map((id) => [200, `Echo: ${id}`]),
      );
    }),
    60_000,
  );
});
