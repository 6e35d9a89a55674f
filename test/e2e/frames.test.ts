/** The form of the frames, and clients that read them in ways of their own. */
import { EventSource } from "eventsource";
import { expect, it, onTestFinished } from "vitest";
import { EagerClient } from "../support/eager-client.ts";
import { readUntil } from "../support/read-until.ts";
import { Relay } from "../support/relay.ts";
import { shared } from "../support/scope.ts";
import { Service } from "../support/service.ts";
import { SseReader } from "../support/sse-reader.ts";

const serviceWith = shared((env: Record<string, string>) => Service.start(env));

async function start(env: Record<string, string> = {}) {
  const service = await serviceWith(env);
  const { id } = await service.make();
  return { service, id, path: `/v1/sessions/${id}/events` };
}

it("opens with one frame that holds `retry` and the starting id", async () => {
  const { service, id, path } = await start();
  const reader = new SseReader((await service.fetch(path)).body!);
  await service.publish(id, { data: "last" });
  await readUntil(reader, "last");
  const [first] = reader.text.split("\n\n");
  expect(first).toMatch(/^retry: 1000\n/);
  expect(first).toMatch(/^id: [0-9a-z]{15}-0{12}-0$/m);
  expect(reader.text.match(/\n\n/g)).toHaveLength(2);
  await reader.leave();
});

it("writes an event's id after its data", async () => {
  const { service, id, path } = await start();
  const reader = new SseReader((await service.fetch(path)).body!);
  const { json } = await service.publish(id, { event: "tick", data: "one\ntwo" });
  await reader.take(1);
  expect(reader.text).toMatch(
    new RegExp(`\n\nevent: tick\ndata: one\ndata: two\nid: ${json.id}\n\n$`),
  );
  await reader.leave();
});

it("keeps a stream alive by comments that end no frame", async () => {
  const { service, path } = await start({ KEEPALIVE_SECONDS: "0.1" });
  const reader = new SseReader((await service.fetch(path)).body!);
  await reader.until(/(: keep-alive\n+){3}/);
  expect(reader.text).not.toContain(": keep-alive\n\n");
  await reader.leave();
});

it("a client that takes an id from a torn frame loses nothing, and sees no message in comments", async () => {
  const { service, id, path } = await start({ KEEPALIVE_SECONDS: "0.1" });
  const relay = await Relay.to(service.port);
  const large = "x".repeat(200_000);
  await service.publish(id, [{ data: "a" }, { data: large }, { data: "b" }]);
  relay.cutAt = /x{1000}/;
  const client = new EagerClient(relay.url + path);
  const reading = client.until("last");
  await expect.poll(() => relay.connections).toBeGreaterThan(0);
  relay.cutAt = undefined;
  await expect.poll(() => client.data.at(-1)).toBe("b");
  await service.publish(id, { data: "last" });
  await reading;
  expect(client.data).toEqual(["a", large, "b", "last"]);
  // The client may have come back, and been cut once more, before the relay let it through.
  expect(client.connections).toBeGreaterThan(1);
  const empty = client.messages.filter((data) => data === "");
  expect(empty.length).toBeLessThanOrEqual(client.connections);
});

it.each(["gap", "expired", "deleted", "ended", "open", "error"])(
  "refuses an event named %s, which would not reach a browser as itself",
  async (event) => {
    const { service, id } = await start();
    const { status, json } = await service.send("POST", `/v1/sessions/${id}/events`, {
      event,
      data: 1,
    });
    const detail = `event: must not be ${event}, which is reserved`;
    expect([status, json]).toEqual([
      400,
      expect.objectContaining({ code: "invalid_request", detail }),
    ]);
    const session = (await service.send<object>("GET", `/v1/sessions/${id}`)).json;
    expect(session).not.toHaveProperty("lastEventId");
  },
);

it.each(["lastEventId", "lastEventID", "last_event_id", "after"])(
  "resumes after ?%s",
  async (parameter) => {
    const { service, id, path } = await start();
    const { json } = await service.publish(id, [{ data: "a" }, { data: "b" }, { data: "c" }]);
    const reader = new SseReader(
      (await service.fetch(`${path}?${parameter}=${json.ids[1]}`)).body!,
    );
    await service.publish(id, { data: "last" });
    expect(await readUntil(reader, "last")).toEqual(["c", "last"]);
    await reader.leave();
  },
);

it("a stream takes the newest place: the header's, then that of `after`, then of lastEventId", async () => {
  const { service, id, path } = await start();
  const { json } = await service.publish(id, [{ data: "a" }, { data: "b" }, { data: "c" }]);
  const [a, b, c] = json.ids;
  const firstOf = async (query: string, headers: Record<string, string> = {}) => {
    const reader = new SseReader((await service.fetch(path + query, { headers })).body!);
    const [frame] = await reader.take(1);
    await reader.leave();
    return frame?.data;
  };
  expect(await firstOf(`?after=${a}`, { "last-event-id": b! })).toBe("c");
  expect(await firstOf(`?after=${b}&lastEventId=${a}`)).toBe("c");
  expect(await firstOf(`?lastEventId=${c}&after=${a}&from=earliest`)).toBe("b");
});

it("EventSource is cut within a large event and gets it whole when it comes back", async () => {
  const { service, id, path } = await start();
  const relay = await Relay.to(service.port);
  const large = "y".repeat(200_000);
  await service.publish(id, [{ data: "a" }, { data: large }, { data: "last" }]);
  relay.cutAt = /y{1000}/;
  const source = new EventSource(relay.url + path);
  onTestFinished(() => source.close());
  const seen: string[] = [];
  const last = new Promise<void>((resolve) => {
    source.addEventListener("message", ({ data }) => {
      seen.push(String(data));
      if (data === "last") resolve();
    });
  });
  source.addEventListener("error", () => (relay.cutAt = undefined));
  await last;
  expect(seen).toEqual(["a", large, "last"]);
});
