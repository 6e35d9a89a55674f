/** The journal has every answer to a call through the gateway, and the auditor judges it. */
import { createServer, type ServerResponse } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { auditCall } from "../../soak/audit/calls.ts";
import { Journal } from "../../soak/journal.ts";
import { CallTraffic } from "../../soak/traffic/calls.ts";
import { Random } from "../../support/fuzz/random.ts";
import { listenOnLoopback } from "../../support/listen.ts";

const closing: (() => void)[] = [];
afterEach(() => closing.splice(0).forEach((close) => close()));

/** A gateway that answers these methods in these ways, and everything else well. */
async function gateway(answers: Record<string, (response: ServerResponse) => void>) {
  const over = new AbortController();
  const server = createServer(async (request, response) => {
    const body = await request.toArray();
    const { method = "" } = JSON.parse(Buffer.concat(body).toString()) as { method?: string };
    const own = answers[method];
    if (own) {
      // One call is enough.
      over.abort();
      own(response);
    } else if (method === "initialize") {
      response.writeHead(200, { "mcp-session-id": "the-session" }).end("{}");
    } else response.writeHead(202).end();
  });
  const port = await listenOnLoopback(server);
  closing.push(
    () => void server.closeAllConnections(),
    () => void server.close(),
  );
  const journal = new Journal();
  const url = `http://127.0.0.1:${port}`;
  const traffic = new CallTraffic(journal, new Random(1), url);
  await traffic.run(0.2, over.signal);
  return journal;
}

const status = (code: number) => (response: ServerResponse) => void response.writeHead(code).end();
const emptyStream = (response: ServerResponse) =>
  void response.writeHead(200, { "content-type": "text/event-stream" }).end();

describe("a call that fails", () => {
  it.each([
    ["by a status that no contract allows", status(500), ["POST /mcp, tools/call: 500"]],
    ["as if its session were not there", status(404), ["POST /mcp, tools/call: 404"]],
    ["as the service may", status(503), []],
    ["by a stream without anything", emptyStream, []],
  ])("%s is lost, where nothing was ended under it", async (_, answer, unexpected) => {
    const journal = await gateway({ "tools/call": answer });
    expect(journal.calls).toMatchObject([{ end: "unanswered", disturbed: false }]);
    expect(journal.calls.flatMap(auditCall)).toMatchObject([{ kind: "call lost" }]);
    expect([...journal.unexpected.keys()]).toEqual(unexpected);
  });
});

it.each([500, 503])(
  "an initialize that is answered %d for no reason is unexpected",
  async (code) => {
    const journal = await gateway({ initialize: status(code) });
    expect([...journal.unexpected]).toEqual([[`POST /mcp, initialize: ${code}`, 1]]);
  },
);
