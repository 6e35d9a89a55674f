/** Many large bodies at once: the process lives on, and what is held at a time is bounded. */
import { readFile } from "node:fs/promises";
import { request, type ClientRequest, type IncomingMessage } from "node:http";
import { expect, it, onTestFinished } from "vitest";
import { McpSession, toolCall } from "../support/mcp/client.ts";
import { roughBehindGateway } from "../support/mcp/rough-gateway.ts";
import { resultOf, type Asked } from "../support/mcp/rough-server.ts";
import { Service } from "../support/service.ts";

const MIB = 1024 * 1024;

/** `{"data":[{},{},...]}` of 3.9 MB: 1.3 million values. */
const MANY_VALUES = `{"data":[${"{},".repeat(1_299_990)}{}]}`;

async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

const post = (service: Service, path: string, body: string) =>
  service.fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "*/*" },
    body,
  });

it("40 bodies of 3.9 MB with 1.3 million values each do not end the process", async () => {
  const service = await Service.start();
  const { id } = await service.make();
  const before = await memoryOf(service.pid);
  for (const path of ["/v1/sessions", `/v1/sessions/${id}/events`, "/mcp"]) {
    const answers = await Promise.all(
      Array.from({ length: 40 }, async () => {
        const answer = await post(service, path, MANY_VALUES);
        return [answer.status, await answer.text()] as const;
      }),
    );
    for (const [status, text] of answers) expect(text).toMatch(TEXTS[status] ?? /never/);
    expect(answers.map(([status]) => status)).toContain(path === "/v1/sessions" ? 413 : 400);
  }
  // Before there was a bound, ten of them took 1,092 MB, and forty ended the process.
  expect((await memoryOf(service.pid)) - before).toBeLessThan(500);
  expect((await service.send("GET", `/v1/sessions/${id}`)).status).toBe(200);
});

const TEXTS: Readonly<Record<number, RegExp>> = {
  400: /holds more than 100000 values/,
  413: /over what a session may hold/,
  503: /Too many large bodies are under way/,
};

/** A publish that has sent `bytes` of its body and waits. */
class Upload {
  readonly #request: ClientRequest;
  readonly answer: Promise<IncomingMessage>;

  constructor(port: number, path: string) {
    const headers = { "content-type": "application/json", "transfer-encoding": "chunked" };
    this.#request = request({
      host: "127.0.0.1",
      port,
      path,
      method: "POST",
      headers,
      agent: false,
    });
    this.answer = new Promise((resolve, reject) => {
      this.#request.on("response", resolve);
      this.#request.on("error", reject);
    });
    this.answer.catch(() => undefined);
    this.#request.write('{"data":"');
    onTestFinished(() => void this.#request.destroy());
  }

  send(bytes: number): void {
    this.#request.write("a".repeat(bytes));
  }

  end(): void {
    this.#request.end('"}');
  }
}

it("bounds the bytes that are held at a time: a large body gets 503 with Retry-After, a small one passes", async () => {
  const service = await Service.start();
  const { id } = await service.make();
  const path = `/v1/sessions/${id}/events`;
  const uploads = Array.from({ length: 20 }, () => new Upload(service.port, path));
  for (const upload of uploads) upload.send(3.9 * MIB);
  // Sixteen of them fit, whichever came first.
  const refused = await Promise.any(uploads.map(({ answer }) => answer));
  expect([refused.statusCode, refused.headers["retry-after"]]).toEqual([503, "1"]);
  refused.resume();
  expect((await service.publish(id, { data: "small" })).status).toBe(202);
  for (const upload of uploads) upload.end();
  const statuses = await Promise.all(
    uploads.map(({ answer }) => answer.then((one) => (one.resume(), one.statusCode))),
  );
  // A whole one is over EVENT_MAX_BYTES.
  expect(new Set(statuses)).toEqual(new Set([413, 503]));
  // The room is free again.
  const large = { data: "a".repeat(MIB - 100) };
  expect((await service.publish(id, large)).status).toBe(202);
});

it("the bodies of calls whose upstream has not begun to answer are bounded too", async () => {
  const waiting: Asked[] = [];
  const { url } = await roughBehindGateway(
    (asked) => {
      if (asked.method !== "tools/call") return false;
      waiting.push(asked);
      return true;
    },
    { env: { BODY_MAX_BYTES: String(16 * MIB) } },
  );
  const session = await McpSession.open(url);
  const large = (id: number) => session.post(toolCall(id, "x", { image: "a".repeat(15 * MIB) }));
  const answers: Response[] = [];
  // Each answer becomes a stream after a quarter of a second; the object holds the body on.
  for (const id of [1, 2, 3]) answers.push(await large(id));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  const refused = await large(4);
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
  expect(await refused.text()).toContain("Too many large bodies are under way");
  expect((await session.call({ jsonrpc: "2.0", id: 5, method: "ping" })).status).toBe(200);
  expect(waiting.length).toBe(3);
  for (const asked of waiting.splice(0)) asked.json(resultOf(asked.id));
  for (const answer of answers) expect(await answer.text()).toContain('"result"');
  expect((await large(6)).status).toBe(200);
});
