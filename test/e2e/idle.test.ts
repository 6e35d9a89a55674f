/** An idle connected session keeps nothing but its bridge. Real time: the platform decides when an object sleeps. */
import { expect, it } from "vitest";
import { Service } from "../support/service.ts";
import { SseReader } from "../support/sse-reader.ts";

const SILENCE_SECONDS = 40;

it("lets the object sleep under a silent stream, and wakes it for the next publish on the same connection", async () => {
  const service = await Service.start({ LOG_LEVEL: "debug", KEEPALIVE_SECONDS: "1" });
  const { id } = await service.make();
  const { body } = await service.fetch(`/v1/sessions/${id}/events`);
  const reader = new SseReader(body!);
  await service.publish(id, { data: "before" });
  await reader.take(1);
  const starts = () => service.lines.filter(({ event }) => event === "object.start");
  expect(starts()).toHaveLength(1);

  // Keep-alives arrive by the bridge's own timer, so counting them is waiting for the time to pass.
  const comments = reader.comments;
  await reader.until(new RegExp(`(: keep-alive\n){${SILENCE_SECONDS}}$`));
  expect(reader.comments - comments).toBeGreaterThanOrEqual(SILENCE_SECONDS);
  expect(starts()).toHaveLength(1);

  const { json } = await service.publish(id, { data: "after" });
  expect(json.writers).toBe(1);
  expect((await reader.take(1)).map(({ data }) => data)).toEqual(["after"]);
  // It had been asleep: the publish had to start it anew, and it found its writer.
  expect(starts()).toHaveLength(2);
  expect(starts()[1]).toMatchObject({ writers: 1 });
  await reader.leave();
}, 90_000);
