/** No error repeats more than 200 characters of what was sent, wherever that was sent. */
import { expect, it } from "vitest";
import { request } from "../support/call.ts";
import { tokenApp } from "../support/guarded-app.ts";

const ID = "8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01";
const LONG = "k".repeat(3_000_000);
/** Within the bound of a URL, and of all headers. */
const SHORTER = "k".repeat(5000);
const MCP = { accept: "application/json, text/event-stream" };

type Sent = readonly [method: string, path: string, body?: unknown, headers?: HeadersInit];

const BODIES: readonly Sent[] = [
  ["POST", "/v1/sessions", { [LONG]: 1 }],
  [
    "POST",
    "/v1/sessions",
    Object.fromEntries(Array.from({ length: 9999 }, (_, n) => [`kkk${n}`, 1])),
  ],
  ["POST", "/v1/sessions", { metadata: { [LONG]: 1 } }],
  ["POST", "/v1/sessions", { type: LONG }],
  ["POST", "/v1/sessions", { id: LONG }],
  ["POST", "/v1/sessions", { subject: LONG }],
  ["POST", "/v1/sessions", { overflow: LONG }],
  ["PUT", `/v1/sessions/${ID}`, { ttlSeconds: LONG }],
  ["PATCH", `/v1/sessions/${ID}`, { [LONG]: 1 }],
  ["POST", `/v1/sessions/${ID}/events`, { data: 1, [LONG]: 1 }],
  ["POST", `/v1/sessions/${ID}/events`, [{ data: 1 }, { data: 1, [LONG]: 1 }]],
  ["POST", `/v1/sessions/${ID}/events`, { event: LONG, data: 1 }],
  ["POST", `/v1/sessions/${ID}/end`, { [LONG]: 1 }],
  ["POST", "/mcp", { jsonrpc: "2.0", id: LONG, method: "x" }, MCP],
  ["POST", "/mcp", { jsonrpc: "2.0", id: LONG, method: "initialize" }, MCP],
  ["POST", "/mcp", { jsonrpc: "1.0", id: LONG, method: "x" }, MCP],
  ["POST", "/mcp", { jsonrpc: "2.0", id: 1, method: LONG }, MCP],
  ["POST", "/mcp", [{ jsonrpc: "2.0", id: LONG, method: "x" }], MCP],
  ["POST", `/messages?session_id=${ID}`, { jsonrpc: "2.0", id: LONG, method: "x" }],
];

const HEADS: readonly Sent[] = [
  ["GET", `/v1/${SHORTER}`],
  ["GET", `/v1/sessions/${SHORTER}`],
  ["GET", `/v1/sessions?${SHORTER}=1`],
  ["GET", `/v1/sessions?cursor=${SHORTER}`],
  ["GET", `/v1/sessions?type=${SHORTER}`],
  ["GET", `/v1/sessions/${ID}/events?after=${SHORTER}`],
  ["GET", `/mcp/${SHORTER}`, undefined, MCP],
  ["GET", `/sse/${SHORTER}`, undefined, MCP],
  ["POST", `/messages?session_id=${SHORTER}`, { jsonrpc: "2.0", id: 1, method: "x" }],
  ["GET", `/v1/sessions/${ID}`, undefined, { "if-match": SHORTER }],
  ["POST", `/v1/sessions/${ID}/events`, { data: 1 }, { "idempotency-key": SHORTER }],
  ["GET", `/v1/sessions/${ID}/events`, undefined, { "last-event-id": SHORTER }],
  ["POST", "/v1/sessions", {}, { "content-type": `application/${SHORTER}` }],
  ["POST", "/mcp", {}, { ...MCP, "mcp-protocol-version": SHORTER }],
  ["DELETE", "/mcp", undefined, { ...MCP, "mcp-session-id": SHORTER }],
];

it.each([...BODIES, ...HEADS].map((sent, n) => [n, sent] as const))("%i", async (_n, sent) => {
  const [method, path, body, headers] = sent;
  const response = await request(method, path, body, headers);
  const text = await response.text();
  expect(response.status).toBeGreaterThanOrEqual(400);
  expect(response.status).toBeLessThan(500);
  expect(text.length).toBeLessThan(500);
  expect(text.match(/k/g)?.length ?? 0).toBeLessThanOrEqual(200);
  for (const [, value] of response.headers) expect(value.length).toBeLessThan(300);
});

it("a gap repeats as little of a place that is no event's, in a stream and in a page", async () => {
  const made = await request("POST", "/v1/sessions", {});
  const { id } = await made.json<{ id: string }>();
  const path = `/v1/sessions/${id}/events`;
  for (const accept of ["application/json", "text/event-stream"]) {
    const answer = await request("GET", path, undefined, { accept, "last-event-id": SHORTER });
    const reader = answer.body!.getReader();
    const { value } = await reader.read();
    const text = new TextDecoder().decode(value);
    expect(text).toContain("requested");
    expect(/k{100,}/.exec(text)?.[0]).toHaveLength(199);
    await reader.cancel();
  }
});

it("a challenge repeats neither a long path nor a long host", async () => {
  const { app } = await tokenApp({ reader: ["reader", ["sessions:read"]] });
  const challengeAt = async (url: string) => {
    const answer = await app.request(url);
    expect(answer.status).toBe(401);
    return answer.headers.get("www-authenticate") ?? "";
  };
  const named = await challengeAt("https://h.example/mcp/search");
  expect(named).toContain("https://h.example/.well-known/oauth-protected-resource/mcp/search");
  const service = await challengeAt(`https://h.example/mcp/${SHORTER}`);
  expect(service).toContain('https://h.example/.well-known/oauth-protected-resource"');
  expect(await challengeAt(`https://${SHORTER}.example/mcp`)).not.toContain("kkk");
});

it("the wrong field and what is wrong with it are both still said", async () => {
  const metadata = { ["😀".repeat(500)]: 1 };
  const response = await request("POST", "/v1/sessions", { metadata });
  const { detail } = await response.json<{ detail: string }>();
  expect(detail).toMatch(/^metadata\.😀+�?…: .*expected string/u);
  expect(detail.length).toBeLessThanOrEqual(200);
});
