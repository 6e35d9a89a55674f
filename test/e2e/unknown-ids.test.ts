/** An id that nobody made costs the process and its disk next to nothing, and no session is taken for one. */
import { readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { sessionFiles } from "../support/object-files.ts";
import { Service } from "../support/service.ts";

const JSON_TYPE = { "content-type": "application/json" };

const openFiles = ({ pid }: Service) => readdirSync(`/proc/${pid}/fd`).length;

it("answers for 300 unknown ids, on every route, from two objects", async () => {
  const service = await Service.start();
  const before = openFiles(service);
  const statuses = new Map<string, number>();
  const ask = async (method: string, path: string, expected: number, body?: string) => {
    const response = await service.fetch(path, {
      method,
      headers: JSON_TYPE,
      ...(body !== undefined && { body }),
    });
    await response.body?.cancel();
    if (response.status !== expected) statuses.set(`${method} ${path}`, response.status);
  };
  for (let n = 0; n < 30; n++) {
    const path = () => `/v1/sessions/${crypto.randomUUID()}`;
    await ask("GET", path(), 404);
    await ask("PATCH", path(), 404, "{}");
    await ask("DELETE", path(), 204);
    await ask("POST", `${path()}/events`, 404, '{"data":1}');
    await ask("GET", `${path()}/events`, 404);
    await ask("GET", `${path()}/events?wait=1`, 404);
    await ask("POST", `${path()}/disconnect`, 404);
    await ask("POST", `${path()}/end`, 404);
    const headers = { ...JSON_TYPE, accept: "application/json, text/event-stream" };
    const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
    const mcp = { "mcp-session-id": crypto.randomUUID() };
    for (const init of [
      { method: "POST", headers: { ...headers, ...mcp }, body: ping },
      { method: "GET", headers: { ...mcp, accept: "text/event-stream" } },
    ]) {
      const { status, body } = await service.fetch("/mcp", init);
      await body?.cancel();
      expect(status).toBe(404);
    }
  }
  expect([...statuses]).toEqual([]);
  // The first id is asked itself: its file shows that files are where they are looked for.
  expect(sessionFiles(service.stateDir)).toHaveLength(2);
  // Each object has three; a client keeps some connections.
  expect(openFiles(service) - before).toBeLessThan(30);
});

it("finds every session: made here, named by its client, and made in an earlier life of the process", async () => {
  const service = await Service.start();
  const ids: string[] = [];
  for (let n = 0; n < 20; n++) {
    const id = crypto.randomUUID();
    // A look before it is there must not stick.
    expect((await service.fetch(`/v1/sessions/${id}`)).status).toBe(404);
    const how = [
      ["POST", "/v1/sessions", { id }],
      ["PUT", `/v1/sessions/${id}`, {}],
      ["POST", "/v1/sessions", {}],
    ] as const;
    const [method, path, body] = how[n % 3] ?? how[0];
    const made = await service.fetch(path, {
      method,
      headers: JSON_TYPE,
      body: JSON.stringify(body),
    });
    expect(made.status).toBe(201);
    ids.push(((await made.json()) as { id: string }).id);
  }
  const found = async () => {
    const answers = await Promise.all(ids.map((id) => service.fetch(`/v1/sessions/${id}`)));
    return answers.filter(({ status }) => status === 200).length;
  };
  expect(await found()).toBe(ids.length);
  await service.kill();
  await service.restart();
  expect(await found()).toBe(ids.length);
});
