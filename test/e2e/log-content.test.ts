/** A service at LOG_LEVEL=debug that is given marked content everywhere, right and wrong: its logs hold none of it. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { unstable_readConfig } from "wrangler";
import { PROJECT } from "../../scripts/bundle.ts";
import { SCOPES } from "../../src/auth/identity.ts";
import { apiTokens } from "../support/api-tokens.ts";
import { CANARY } from "../support/canary.ts";
import { Service } from "../support/service.ts";
import { SseReader } from "../support/sse-reader.ts";

const FORGED = `${CANARY}\n{"time":"2026-01-01T00:00:00.000Z","level":"info","event":"forged"}\r\u2028\u0085\u001b[2J`;

it("logs no secret, ticket, metadata or event, and no line that a client made up", async () => {
  const tokens = await apiTokens({ me: [`${CANARY}-subject`, SCOPES] });
  const service = await Service.start({
    AUTH: "token",
    API_TOKENS: tokens.variable,
    TICKET_SECRET: CANARY.repeat(4),
    LOG_LEVEL: "debug",
    KEEPALIVE_SECONDS: "0.2",
  });
  const headers = { ...tokens.headers["me"]!, "content-type": "application/json" };
  const send = (method: string, path: string, body?: unknown, more: Record<string, string> = {}) =>
    service.fetch(path, {
      method,
      headers: { ...headers, ...more },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  const content = { metadata: { [FORGED]: FORGED }, data: { [FORGED]: FORGED } };
  const made = (await (await send("POST", "/v1/sessions", content)).json()) as { id: string };
  const path = `/v1/sessions/${made.id}`;
  const { url } = (await (await send("POST", `${path}/tickets`)).json()) as { url: string };
  const stream = new SseReader((await fetch(url)).body!);
  await send("POST", `${path}/events`, { event: CANARY, data: FORGED });
  await stream.until(new RegExp(CANARY));

  const mark = encodeURIComponent(FORGED);
  await send("PUT", path, `{"metadata": ${FORGED}`);
  await send("PUT", path, { [FORGED]: 1 });
  await send("PATCH", path, content, { "if-match": `"${CANARY}"` });
  await send("GET", `${path}?touch=${mark}`);
  await send("GET", `${path}/events?lastEventId=${mark}&from=${mark}`);
  await send("GET", `/v1/sessions/${mark}`);
  await send("GET", `/${mark}`, undefined, {
    "x-any": CANARY,
    origin: `https://${CANARY}.example`,
  });
  await service.fetch(`${path}/events?ticket=${mark}`);
  await service.fetch(path, { headers: { authorization: `Bearer ${CANARY}` } });
  await service.fetch(path, { headers: { authorization: `Bearer ${CANARY}.${CANARY}.${CANARY}` } });
  await send("DELETE", path);
  await service.logged(({ event }) => event === "session.deleted");
  expect((await service.fetch("/healthz")).status).toBe(200);

  const log = JSON.stringify(service.lines);
  expect(service.lines.length).toBeGreaterThanOrEqual(3);
  expect(log).not.toContain(CANARY);
  expect(log).not.toContain("forged");
  for (const secret of tokens.secrets) expect(log).not.toContain(secret);
});

it("asks Cloudflare not to log requests either: a stream's URL holds a ticket", () => {
  const { observability } = unstable_readConfig({ config: join(PROJECT, "wrangler.toml") });
  expect(observability?.logs).toMatchObject({ enabled: true, invocation_logs: false });
  expect(observability?.traces).toMatchObject({ enabled: false });
});
