/**
 * Resumption over real HTTP, through a relay that cuts the connection at any byte
 * of the answer, its headers included, while publishing goes on.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { Relay } from "../support/relay.ts";
import { ResumingClient } from "../support/resuming-client.ts";
import { Service } from "../support/service.ts";

/** Bytes to let through before each cut, and events to publish meanwhile. */
const cuts = fc.array(
  fc.record({ after: fc.integer({ min: 1, max: 6000 }), events: fc.integer({ min: 1, max: 30 }) }),
  { minLength: 2, maxLength: 12, size: "max" },
);

it("a client that is cut at any byte gets every event once, in order", async () => {
  const service = await Service.start();
  const relay = await Relay.to(service.port);
  await fc.assert(
    fc.asyncProperty(cuts, async (plan) => {
      const { id } = await service.make();
      const client = new ResumingClient((lastEventId) =>
        fetch(`${relay.url}/v1/sessions/${id}/events${lastEventId ? "" : "?from=earliest"}`, {
          headers: { connection: "close", ...(lastEventId && { "last-event-id": lastEventId }) },
        }),
      );
      let published = 0;
      const publish = async (count: number) => {
        const body = Array.from({ length: count }, (_, n) => ({
          data: `${published + n} ${"é".repeat(n * 7)}`,
        }));
        const { status } = await service.publish(id, body);
        if (status === 202) published += count;
        else expect(status).toBe(503);
      };

      for (const { after, events } of plan) {
        relay.cutAfter = after;
        const publishing = publish(events);
        // A cut within the headers is a failed connection, and the next one tries again.
        await client.connect().catch(() => {});
        await publishing;
        if (!client.connected) continue;
        relay.cut();
        await client.ended();
      }

      relay.cutAfter = Infinity;
      await client.connect();
      await publish(1);
      await expect.poll(() => client.has(`data: ${published - 1} \n`), { interval: 2 }).toBe(true);
      await client.cut(1);
      expect(client.received.map((data) => Number(data.split(" ")[0]))).toEqual(
        Array.from({ length: published }, (_, n) => n),
      );
    }),
    { numRuns: 60, endOnFailure: true },
  );
});
