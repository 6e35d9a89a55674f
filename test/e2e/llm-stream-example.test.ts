/** examples/llm-stream, as its README starts it, in a real browser. Its picture stays in .holdfast. */
import { join } from "node:path";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { answerTo } from "../../examples/llm-stream/model.ts";
import { PROJECT } from "../../scripts/bundle.ts";
import { apiTokens } from "../support/api-tokens.ts";
import { openBrowser } from "../support/browser.ts";
import { wranglerDev } from "../support/command.ts";
import { freePort } from "../support/free-port.ts";
import { Relay } from "../support/relay.ts";
import { beside } from "../support/scope.ts";
import { Service } from "../support/service.ts";

const PROMPT = "Why does this survive?";
const ANSWER = answerTo(PROMPT);

async function start() {
  const port = await freePort();
  const tokens = await apiTokens({
    app: ["llm-stream", ["sessions:write", "events:publish", "events:subscribe"]],
    operator: ["operator", ["admin"]],
  });
  const service = await Service.start({
    AUTH: "token",
    API_TOKENS: tokens.variable,
    TICKET_SECRET: "x".repeat(32),
    // A connection that breaks comes back after a second: each time the ticket is too old.
    TICKET_TTL_SECONDS: "1",
    ALLOWED_ORIGINS: `http://localhost:${port}`,
  });
  const relay = await Relay.to(service.port);
  const vars = { HOLDFAST_URL: relay.url, HOLDFAST_TOKEN: tokens.secrets[0] };
  const { url } = await wranglerDev(
    [
      "--config",
      "examples/llm-stream/wrangler.toml",
      ...Object.entries(vars).flatMap(([name, value]) => ["--var", `${name}:${value}`]),
    ],
    port,
  );
  const context = await (await openBrowser()).newContext();
  const open = async (address: string) => {
    const page = await context.newPage();
    await page.goto(address);
    return page;
  };
  const session = async (id: string) => {
    const headers = tokens.headers["operator"] ?? {};
    return (await service.fetch(`/v1/sessions/${id}`, { headers })).json();
  };
  return { relay, url, open, session };
}

async function ask(page: Page): Promise<void> {
  await page.fill("input[name=prompt]", PROMPT);
  await page.click("text=Ask");
}

const shown = async (page: Page) => (await page.textContent("#answer")) ?? "";
const status = (page: Page) => page.textContent("#status");

async function untilWords(page: Page, count: number): Promise<void> {
  await page.waitForFunction(
    `document.getElementById("answer").textContent.split(" ").length > ${count}`,
  );
}

async function untilStatus(page: Page, text: string): Promise<void> {
  await page.waitForFunction(
    `document.getElementById("status").textContent === ${JSON.stringify(text)}`,
  );
}

describe.concurrent("examples/llm-stream", { timeout: 2 * 60_000 }, () => {
  it(
    "an answer survives a reload, a network that is gone, and a second tab",
    beside(async () => {
      const { relay, url, open } = await start();
      const page = await open(url);
      await ask(page);
      await untilWords(page, 10);
      expect(await status(page)).toBe("Streaming");
      await page.reload();
      await untilWords(page, 15);
      const renewed = page.waitForRequest(/\/ticket$/);
      // The Worker's requests break too, and it repeats them.
      relay.cut();
      await renewed;
      const second = await open(page.url());
      await untilWords(second, 20);
      await Promise.all([page, second].map((tab) => untilStatus(tab, "Streaming")));
      await page.screenshot({ path: join(PROJECT, ".holdfast", "llm-stream.png") });
      await Promise.all([page, second].map((tab) => untilStatus(tab, "Complete")));
      expect(await Promise.all([page, second].map(shown))).toEqual([ANSWER, ANSWER]);
      // An answer that is complete is there as long as its session.
      await page.reload();
      await untilStatus(page, "Complete");
      expect(await shown(page)).toBe(ANSWER);
    }),
  );

  it(
    "the stop button ends an answer in every tab, and the model with it",
    beside(async () => {
      const { url, open, session } = await start();
      const page = await open(url);
      await ask(page);
      await untilWords(page, 5);
      const second = await open(page.url());
      await untilWords(second, 8);
      await second.click("text=Stop");
      await Promise.all([page, second].map((tab) => untilStatus(tab, "Stopped")));
      const [text = "", ...others] = await Promise.all([page, second].map(shown));
      expect(others).toEqual([text]);
      expect(ANSWER.startsWith(text)).toBe(true);
      expect(text.length).toBeLessThan(ANSWER.length);
      expect(await page.isDisabled("#stop")).toBe(true);
      expect(await session(new URL(page.url()).hash.slice(1))).toMatchObject({ ended: true });
    }),
  );
});
