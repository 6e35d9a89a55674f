/**
 * Upgrade and roll-back: this code opens a STATE_DIR that the release before has written, and the
 * release before opens one that this code has written. Nothing acknowledged is lost either way.
 */
import { expect, it } from "vitest";
import { HAS_PREVIOUS_RELEASE, previousRelease } from "../support/previous-release.ts";
import { Service } from "../support/service.ts";
import { SkewTraffic } from "../support/skew-traffic.ts";

// Without the history of the repository there is no release before.
it.runIf(HAS_PREVIOUS_RELEASE)(
  "keeps sessions, events, ends and MCP sessions over an upgrade, a roll-back and an upgrade again",
  async () => {
    const old = { bundle: await previousRelease() };
    const service = await Service.start({ TICKET_SECRET: "t".repeat(32) }, old);
    const traffic = new SkewTraffic(service);
    await traffic.run();
    const expiring: string[] = [];
    for (const code of [{}, old, {}]) {
      expiring.push((await service.make({ ttlSeconds: 1 })).id);
      await service.kill();
      service.deploy(code);
      await service.restart();
      expect(await traffic.losses()).toEqual([]);
      await traffic.run();
      expect([...traffic.refused]).toEqual([]);
      expect(await traffic.losses()).toEqual([]);
    }
    // By the alarm that the other code has set.
    for (const id of expiring) {
      const session = `${id.slice(0, 8)}…`;
      await service.logged(
        (line) => line.event === "session.expired" && line["session"] === session,
      );
    }
    expect(service.lines.filter(({ event }) => event === "request.crashed")).toEqual([]);
  },
  180_000,
);
