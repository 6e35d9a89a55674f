/** An answered publish survives: the process is killed while it writes. */
import { expect, it } from "vitest";
import { Service } from "../support/service.ts";
import { SseReader } from "../support/sse-reader.ts";

const KILLS = Number(process.env["KILLS"] ?? 8);
const PUBLISHERS = 8;

it(`keeps every publish that was answered 202, over ${KILLS} kills in mid-write`, async () => {
  const service = await Service.start({
    LOG_MAX_EVENTS: "100000",
    LOG_MAX_BYTES: "100000000",
    QUEUE_CAPACITY: "100000",
  });
  const sessions = await Promise.all(Array.from({ length: 4 }, () => service.make()));
  const acknowledged = new Map(
    sessions.map(({ id }) => [id, [] as { eventId: string; data: string }[]]),
  );
  let sent = 0;

  for (let kill = 0; kill < KILLS; kill++) {
    const killed = new AbortController();
    const publisher = async (n: number) => {
      const id = sessions[n % sessions.length]!.id;
      while (!killed.signal.aborted) {
        const data = String(sent++);
        try {
          const { status, json } = await service.publish(id, { data });
          if (status === 202) acknowledged.get(id)!.push({ eventId: json.id, data });
        } catch {
          return; // The connection went down with the process: not answered, so nothing is owed.
        }
      }
    };
    const publishers = Array.from({ length: PUBLISHERS }, (_, n) => publisher(n));
    const before = sent;
    await expect.poll(() => sent - before, { interval: 1 }).toBeGreaterThan(8 + Math.random() * 50);
    await service.kill();
    killed.abort();
    await Promise.all(publishers);
    await service.restart();
  }

  for (const { id } of sessions) {
    const last = (await service.publish(id, { data: "last" })).json.id;
    const { body } = await service.fetch(`/v1/sessions/${id}/events?from=earliest`);
    const reader = new SseReader(body!);
    await reader.until(new RegExp(`id: ${last}\n`));
    await reader.leave();
    const log = [...reader.text.matchAll(/^data: (.*)\nid: (.*)$/gm)].map(([, data, eventId]) => ({
      eventId: eventId!,
      data: data!,
    }));
    expect(log.length).toBeGreaterThan(acknowledged.get(id)!.length);
    const ids = log.map(({ eventId }) => eventId);
    expect(ids).toEqual([...new Set(ids)].toSorted());
    const held = new Map(log.map(({ eventId, data }) => [eventId, data]));
    expect(new Set(held.values()).size).toBe(log.length);
    for (const { eventId, data } of acknowledged.get(id)!) expect(held.get(eventId)).toBe(data);
  }
  expect([...acknowledged.values()].flat().length).toBeGreaterThan(KILLS);
}, 240_000);
