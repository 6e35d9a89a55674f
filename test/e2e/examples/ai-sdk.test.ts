/** examples/ai-sdk from the tarball, in a real browser: `useChat` over Holdfast sessions. */
import type { Page } from "playwright-core";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { answerTo } from "../../../examples/ai-sdk/model.ts";
import { openBrowser } from "../../support/browser.ts";
import { wranglerDev } from "../../support/command.ts";
import { ask, LONG_QUESTION, untilStatus } from "../../support/example-page.ts";
import { checkTypes, exampleAlone } from "../../support/packed.ts";
import { Relay } from "../../support/relay.ts";
import { beside, shared } from "../../support/scope.ts";

const QUESTION = "Why does this survive?";
const ANSWER = answerTo(QUESTION);

const start = shared(async () => {
  const [folder, browser] = await Promise.all([exampleAlone("ai-sdk"), openBrowser()]);
  const { url, lines } = await wranglerDev([], undefined, folder);
  const context = await browser.newContext();
  const open = async (address = url) => {
    const page = await context.newPage();
    // The bound ends what hangs: a busy machine takes longer than the usual 30 s.
    page.setDefaultTimeout(90_000);
    await page.goto(address);
    return page;
  };
  return { folder, url, lines, open };
});

/** The texts of the chat. */
const said = (page: Page) => page.locator("#messages li").allTextContents();

/** Resolves once the last message is an answer with more words than this. */
async function untilWords(page: Page, count: number): Promise<void> {
  await page.waitForFunction(
    `document.querySelector("#messages li.assistant:last-child")?.textContent.split(" ").length > ${count}`,
    undefined,
    { polling: 100 },
  );
}

beforeAll(async () => void (await start()), 3 * 60_000);

describe.concurrent("examples/ai-sdk", { timeout: 2 * 60_000 }, () => {
  it(
    "an answer goes on after a reload, in a second tab, and over a network that breaks",
    beside(async () => {
      const { url, open } = await start();
      const relay = await Relay.to(Number(new URL(url).port));
      const page = await open(relay.url);
      await ask(page, QUESTION);
      await untilWords(page, 8);
      expect(await page.textContent("#status")).toBe("streaming");
      await page.reload();
      await untilWords(page, 12);
      const second = await open(page.url());
      await untilWords(second, 16);
      relay.cut();
      await Promise.all([page, second].map((tab) => untilStatus(tab, "ready")));
      const chat = [QUESTION, ANSWER];
      expect(await Promise.all([page, second].map(said))).toEqual([chat, chat]);
      await page.reload();
      await untilStatus(page, "ready");
      expect(await said(page)).toEqual(chat);
    }),
  );

  it(
    "the stop button ends an answer in every tab, and what was said stays in the chat",
    beside(async () => {
      const { url, open } = await start();
      const answer = answerTo(LONG_QUESTION);
      const page = await open();
      await ask(page, LONG_QUESTION);
      await untilWords(page, 5);
      const second = await open(page.url());
      await untilWords(second, 8);
      await second.click("#stop");
      await Promise.all([page, second].map((tab) => untilStatus(tab, "ready")));
      const [[question, text = ""] = [], other] = await Promise.all([page, second].map(said));
      expect(question).toBe(LONG_QUESTION);
      expect(other).toEqual([LONG_QUESTION, text]);
      expect(answer.startsWith(text)).toBe(true);
      expect(text.length).toBeLessThan(answer.length);
      const chat = `${url}/api/chats/${new URL(page.url()).hash.slice(1)}`;
      const stored = async () => (await fetch(chat)).json();
      await vi.waitFor(async () => expect(await stored()).not.toHaveProperty("answer"), 20_000);
      await page.reload();
      await page.waitForSelector("#messages li");
      expect(await said(page)).toEqual([LONG_QUESTION, text]);
      // The chat goes on.
      const next = `Again: ${LONG_QUESTION}`;
      await ask(page, next);
      await untilWords(page, 5);
      await page.click("#stop");
      await untilStatus(page, "ready");
      expect((await said(page)).slice(0, 3)).toEqual([LONG_QUESTION, text, next]);
    }),
  );

  it(
    "a second question waits for the first one's answer, and a bad one is refused",
    beside(async () => {
      const { url } = await start();
      const post = (path: string, body: unknown = {}) =>
        fetch(url + path, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
        });
      const { id } = (await (await post("/api/chats")).json()) as { id: string };
      const message = { id: "q", role: "user", parts: [{ type: "text", text: QUESTION }] };
      expect((await post(`/api/chats/${id}`, { message: { role: "user" } })).status).toBe(400);
      expect((await post(`/api/chats/${crypto.randomUUID()}`, { message })).status).toBe(404);
      const statuses = await Promise.all([1, 2].map(() => post(`/api/chats/${id}`, { message })));
      // The slower one finds the chat changed, or the answer under way.
      expect(statuses.map(({ status }) => status).filter((status) => status !== 201)).toEqual([
        expect.toBeOneOf([409, 412]),
      ]);
      expect((await post(`/api/chats/${id}`, { message })).status).toBe(409);
      expect((await post(`/api/chats/${id}/stop`)).status).toBe(204);
    }),
  );

  it(
    "its types hold, and it logs no error",
    beside(async () => {
      const { folder, lines } = await start();
      await checkTypes(folder);
      expect(lines.filter((line) => /error/i.test(line) && !line.includes("cf"))).toEqual([]);
    }),
  );
});
