/** A page in real Chromium: its own EventSource sees reloads and ends. */
import { describe, expect, it } from "vitest";
import { openBrowser, openPage } from "../support/browser.ts";
import { numbers } from "../support/read-until.ts";
import { Relay } from "../support/relay.ts";
import { beside, shared } from "../support/scope.ts";
import { Service } from "../support/service.ts";

/** Reports each message, and every state of the connection that is final. */
const pageOf = (events: string) => `
  const source = new EventSource(${JSON.stringify(events)});
  source.onopen = () => report("open");
  source.onmessage = ({ data }) => report(data);
  source.addEventListener("ended", () => report("ended"));
  source.onerror = () => source.readyState === EventSource.CLOSED && report("closed");
`;

class Reports {
  readonly all: string[] = [];
  readonly #watchers = new Set<() => void>();

  readonly take = (text: string): void => {
    this.all.push(text);
    for (const watcher of this.#watchers) watcher();
  };

  /** Resolves once what was reported, from a place on, fits. */
  until(fits: (report: string) => boolean, from = 0): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!this.all.slice(from).some(fits)) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }
}

const browser = shared(openBrowser);

describe.concurrent("Chromium", { timeout: 3 * 60_000 }, () => {
  it(
    "a page that reloads twelve times while 160 tokens stream sees every one, in order",
    beside(async () => {
      const service = await Service.start();
      const { id } = await service.make();
      const reports = new Reports();
      const page = await openPage(
        await browser(),
        `${service.url}/page`,
        pageOf(`/v1/sessions/${id}/events`),
        reports.take,
      );
      const tokens = numbers(0, 160);
      let published = 0;
      const stream = async (count: number) => {
        for (const data of tokens.slice(published, (published += count))) {
          expect((await service.publish(id, { data })).status).toBe(202);
        }
      };
      await reports.until((report) => report === "open");
      for (let reload = 0; reload < 12; reload++) {
        const before = reports.all.length;
        await stream(6);
        await reports.until((report) => report === String(published - 1));
        // Tokens go on while the old page is closed and the new one is loading.
        const away = stream(6);
        await Promise.all([page.reload(), away]);
        await reports.until((report) => report === "open", before);
      }
      await stream(tokens.length - published);
      await service.publish(id, { data: "last" });
      await reports.until((report) => report === "last");
      const seen = new Set(reports.all);
      expect(tokens.filter((token) => !seen.has(token))).toEqual([]);
      const firstOf = tokens.map((token) => reports.all.indexOf(token));
      expect(firstOf).toEqual(firstOf.toSorted((a, b) => a - b));
    }),
  );

  it(
    "a page that was away gets what came meanwhile",
    beside(async () => {
      const service = await Service.start({ KEEPALIVE_SECONDS: "60" });
      const { id } = await service.make();
      const reports = new Reports();
      const url = `${service.url}/page`;
      const page = await openPage(
        await browser(),
        url,
        pageOf(`/v1/sessions/${id}/events`),
        reports.take,
      );
      await reports.until((report) => report === "open");
      await page.goto("about:blank");
      for (const data of numbers(0, 5)) await service.publish(id, { data });
      await page.goto(url);
      await reports.until((report) => report === "open", 1);
      await service.publish(id, { data: "last" });
      await reports.until((report) => report === "last");
      expect(reports.all.filter((report) => report !== "open")).toEqual([...numbers(0, 5), "last"]);
    }),
  );

  it(
    "a page stops by itself at the end of the stream",
    beside(async () => {
      const service = await Service.start();
      const { id } = await service.make();
      const relay = await Relay.to(service.port);
      const reports = new Reports();
      await openPage(
        await browser(),
        `${relay.url}/page`,
        pageOf(`/v1/sessions/${id}/events`),
        reports.take,
      );
      await reports.until((report) => report === "open");
      await service.publish(id, { data: "a" });
      expect((await service.send("POST", `/v1/sessions/${id}/end`)).status).toBe(202);
      await reports.until((report) => report === "closed");
      expect(reports.all).toEqual(["open", "a", "ended", "closed"]);
    }),
  );
});
