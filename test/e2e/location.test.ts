/** JURISDICTION and LOCATION_HINT where the platform has neither, as under `wrangler dev`. */
import { expect, it } from "vitest";
import { Service } from "../support/service.ts";

it("serves without a jurisdiction where workerd has none, and says so", async () => {
  const service = await Service.start({ JURISDICTION: "eu", LOCATION_HINT: "weur" });
  // The test hears lines from before the first request only from the second start on.
  await service.kill();
  await service.restart();
  const line = await service.logged(({ event }) => event === "jurisdiction.absent");
  expect(line).toMatchObject({ level: "warn", jurisdiction: "eu" });
  const { id } = await service.make();
  expect((await service.publish(id, { data: 1 })).status).toBe(202);
  // The session's object tells the directory in the background.
  const listed = async () => {
    const { json } = await service.send<{ sessions: { id: string }[] }>("GET", "/v1/sessions");
    return json.sessions.map((one) => one.id);
  };
  await expect.poll(listed).toEqual([id]);
  const revoked = await service.send("DELETE", `/v1/sessions/${id}`);
  expect(revoked.status).toBe(204);
});

it("does not start for a place that Cloudflare does not have", async () => {
  await expect(Service.start({ JURISDICTION: "mars" })).rejects.toThrow(
    /JURISDICTION must be one of eu, us, fedramp/,
  );
});
