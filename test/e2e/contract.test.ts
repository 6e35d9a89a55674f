/** The contract's races, bounds and refusals once more over real HTTP, where sockets and a real clock take part. */
import { createHash, randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import { Service } from "../support/service.ts";

interface Problem {
  readonly code: string;
  readonly detail: string;
}

it("makes one session of two hundred concurrent creates of one id", async () => {
  const service = await Service.start();
  const id = randomUUID();
  const creates = Array.from({ length: 200 }, () => service.send("POST", "/v1/sessions", { id }));
  const statuses = (await Promise.all(creates)).map(({ status }) => status);
  expect(statuses.filter((status) => status === 201)).toHaveLength(1);
  expect(statuses.filter((status) => status === 409)).toHaveLength(199);
});

it("never leaves half a session where put, patch and delete race", async () => {
  const service = await Service.start();
  const { id } = await service.make();
  const path = `/v1/sessions/${id}`;
  const calls = Array.from({ length: 90 }, (_, n) => {
    if (n % 3 === 0) return service.send("DELETE", path);
    if (n % 3 === 1) return service.send("PUT", path, { metadata: { n: String(n) } });
    return service.send("PATCH", path, { metadata: { patched: String(n) } });
  });
  for (const { status } of await Promise.all(calls)) {
    expect([200, 201, 204, 404]).toContain(status);
  }
  const { status, json } = await service.send<{ metadata: object }>("GET", path);
  expect([200, 404]).toContain(status);
  if (status === 200) expect(json.metadata).toHaveProperty("n");
});

it("slides a TTL of half a second under use, and ends it at its maximal lifetime in spite of use", async () => {
  const service = await Service.start();
  const { id } = await service.make({ ttlSeconds: 0.5, maxLifetimeSeconds: 2 });
  const born = performance.now();
  let reads = 0;
  // Each read keeps it alive for another half a second; only its lifetime ends it.
  while ((await service.send("GET", `/v1/sessions/${id}`)).status === 200) {
    reads++;
    await expect.poll(() => performance.now() - born, { interval: 5 }).toBeGreaterThan(reads * 100);
  }
  const age = performance.now() - born;
  expect(age).toBeGreaterThan(1900);
  expect(reads).toBeGreaterThan(5);
});

it("lets a patch in time win over the end, and none after it", async () => {
  const service = await Service.start();
  const sessions = await Promise.all(
    Array.from({ length: 20 }, () => service.make({ ttlSeconds: 0.3 })),
  );
  const outcomes = await Promise.all(
    sessions.map(async ({ id, expiresAt }, n) => {
      const patchAt = Date.parse(expiresAt) - 20 + n * 2;
      await expect
        .poll(() => Date.now(), { interval: 1, timeout: 5000 })
        .toBeGreaterThanOrEqual(patchAt);
      const { status } = await service.send("PATCH", `/v1/sessions/${id}`, { ttlSeconds: 60 });
      const after = await service.send("GET", `/v1/sessions/${id}`);
      return [status, after.status];
    }),
  );
  for (const outcome of outcomes)
    expect([
      [200, 200],
      [404, 404],
    ]).toContainEqual(outcome);
});

it.each([
  ["empty", "POST", "/v1/sessions/ID/events", "", 400, "data"],
  ["not JSON", "POST", "/v1/sessions", "{", 400, "JSON"],
  ["not UTF-8", "POST", "/v1/sessions", new Uint8Array([0x22, 0xff, 0x22]), 400, "UTF-8"],
  [
    "nested too deep",
    "POST",
    "/v1/sessions",
    `{"data":${"[".repeat(9999)}${"]".repeat(9999)}}`,
    400,
    "nested",
  ],
  [
    "too large",
    "POST",
    "/v1/sessions",
    `{"data":"${"x".repeat(4_200_000)}"}`,
    413,
    "BODY_MAX_BYTES",
  ],
  ["with __proto__", "POST", "/v1/sessions", '{"__proto__":{"type":"sse"}}', 400, "__proto__"],
  ["with an unknown field", "PATCH", "/v1/sessions/ID", '{"colour":1}', 400, "colour"],
  [
    "with an event name that forges a frame",
    "POST",
    "/v1/sessions/ID/events",
    '{"event":"a\\ndata: b","data":1}',
    400,
    "event",
  ],
])(
  "refuses a body that is %s, and changes nothing",
  async (_name, method, path, body, status, named) => {
    const service = await Service.start();
    const { id } = await service.make({ metadata: { keep: "me" } });
    const answer = await service.fetch(path.replace("ID", id), {
      method,
      body,
      headers: body === "" ? {} : { "content-type": "application/json" },
    });
    expect(answer.status).toBe(status);
    expect(((await answer.json()) as Problem).detail).toContain(named);
    const { json } = await service.send<Record<string, unknown>>(
      "GET",
      `/v1/sessions/${id}?touch=false`,
    );
    expect(json).toMatchObject({ metadata: { keep: "me" } });
    expect(json).not.toHaveProperty("lastEventId");
  },
);

it("an MCP session is its subject's alone: for anyone else it was never made, and nothing touches it", async () => {
  const token = (secret: string, subject: string, scopes: string[]) => ({
    sha256: createHash("sha256").update(secret).digest("hex"),
    subject,
    scopes,
  });
  const service = await Service.start({
    AUTH: "token",
    API_TOKENS: JSON.stringify([
      token("alice-secret", "alice", ["mcp"]),
      token("bob-secret", "bob", ["mcp"]),
    ]),
  });
  const mcp = (who: string, method: string, sessionId: string | undefined, body?: object) =>
    service.fetch("/mcp", {
      method,
      headers: {
        authorization: `Bearer ${who}-secret`,
        accept: "application/json, text/event-stream",
        "content-type": "application/json",
        ...(sessionId !== undefined && { "mcp-session-id": sessionId }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
  const initialize = {
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "t", version: "1" },
    },
  };
  const made = await mcp("alice", "POST", undefined, initialize);
  const sessionId = made.headers.get("mcp-session-id") ?? "";
  await made.text();
  const ping = { jsonrpc: "2.0", id: 7, method: "ping" };
  for (const unknown of [sessionId, randomUUID()]) {
    const post = await mcp("bob", "POST", unknown, ping);
    expect([post.status, await post.json()]).toEqual([
      404,
      { error: { code: -32001, message: "Session not found" }, id: 7, jsonrpc: "2.0" },
    ]);
    for (const method of ["GET", "DELETE"]) {
      const other = await mcp("bob", method, unknown);
      expect([method, other.status]).toEqual([method, 404]);
      await other.text();
    }
  }
  const own = await mcp("alice", "POST", sessionId, ping);
  expect(own.status).toBe(200);
  await own.text();
});
