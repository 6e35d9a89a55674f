/** `holdfast/client` within a Worker, which reaches the service by a binding. */
import { exports } from "cloudflare:workers";
import { expect, it } from "vitest";
import { HoldfastClient } from "../../src/client/client.ts";
import { FROM_HERE } from "../support/call.ts";

const { default: service } = exports as unknown as { readonly default: Fetcher };

it("makes a session, publishes, follows to the end, and leaves", async () => {
  const client = new HoldfastClient({
    url: "http://localhost",
    // Without AUTH the service answers this machine alone, and a binding has no address.
    fetch: (url, init) => {
      const headers = new Headers(init?.headers);
      for (const [name, value] of Object.entries(FROM_HERE)) headers.set(name, value);
      return service.fetch(url, { ...init, headers });
    },
  });
  const { id } = await client.create({ data: 1 });
  await client.publish(id, [{ data: "one" }, { data: { two: 2 } }]);
  for await (const item of client.follow(id, { from: "earliest" })) {
    expect(item).toMatchObject({ type: "event", data: "one" });
    break;
  }
  await client.end(id);
  const items: unknown[] = [];
  for await (const item of client.follow(id, { from: "earliest" })) items.push(item);
  expect(items).toMatchObject([{ data: "one" }, { data: '{"two":2}' }, { reason: "ended" }]);
  await client.delete(id);
  const failure = await client
    .follow(id)
    .next()
    .catch((error: unknown) => error);
  expect(failure).toMatchObject({ status: 404, code: "session_not_found" });
});
