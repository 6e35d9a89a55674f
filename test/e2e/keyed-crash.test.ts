/**
 * Publishers repeat each unanswered publish under its key, while the service is killed again and
 * again. KEYED_KILLS runs more rounds.
 */
import { expect, it } from "vitest";
import { readUntil } from "../support/read-until.ts";
import { Service } from "../support/service.ts";
import { SseReader } from "../support/sse-reader.ts";

const KILLS = Number(process.env["KEYED_KILLS"] ?? 8);
const PUBLISHERS = 8;

it(`every event is in the log exactly once, over ${KILLS} kills in mid-write`, async () => {
  const service = await Service.start({
    LOG_MAX_EVENTS: "1000000",
    LOG_MAX_BYTES: "500000000",
    QUEUE_CAPACITY: "100000",
  });
  const { id } = await service.make();
  const over = new AbortController();
  let answered = 0;
  /** Publishes that were sent again, and those of them that the service had stored before. */
  const again = { sent: 0, stored: 0 };
  const publisher = async (name: number): Promise<string[]> => {
    const sent: string[] = [];
    while (!over.signal.aborted) {
      const data = `${name}-${sent.length}`;
      sent.push(data);
      while (!(await accepted(data))) again.sent++;
      answered++;
    }
    return sent;
  };
  /** False where no answer came: the process went down with it. */
  const accepted = async (data: string): Promise<boolean> => {
    try {
      const response = await service.fetch(`/v1/sessions/${id}/events`, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": data },
        body: JSON.stringify({ data }),
      });
      const { status, headers } = response;
      await response.arrayBuffer();
      if (headers.get("idempotency-replayed") === "true") again.stored++;
      return status === 202;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return false;
    }
  };
  const publishers = Array.from({ length: PUBLISHERS }, (_, name) => publisher(name));
  for (let kill = 0; kill < KILLS; kill++) {
    const before = answered;
    await expect
      .poll(() => answered - before, { interval: 1 })
      .toBeGreaterThan(5 + Math.random() * 40);
    await service.kill();
    await service.restart();
  }
  over.abort();
  const sent = (await Promise.all(publishers)).flat();
  await service.publish(id, { data: "last" });
  const { body } = await service.fetch(`/v1/sessions/${id}/events?from=earliest`);
  const reader = new SseReader(body!);
  const log = (await readUntil(reader, "last")).slice(0, -1);
  expect(log.toSorted()).toEqual(sent.toSorted());
  await reader.leave();
  console.log(JSON.stringify({ kills: KILLS, events: sent.length, ...again }));
}, 600_000);
