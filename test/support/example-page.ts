/** The page of an example in a browser: a form `#ask`, the text `#answer`, the line `#status`, the button `#stop`. */
import type { Page } from "playwright-core";

/** The examples repeat the question, word by word: an answer to this one goes on for over half a minute. */
export const LONG_QUESTION = "why ".repeat(400).trimEnd();

/** Milliseconds between two looks. A page in the background may draw nothing, and so be looked at never. */
const BY_TIME = { polling: 100 };

export async function ask(page: Page, prompt: string): Promise<void> {
  await page.fill("#ask [name=prompt]", prompt);
  await page.click("#ask >> text=Ask");
}

export async function shown(page: Page): Promise<string> {
  return (await page.textContent("#answer")) ?? "";
}

/** Resolves once the answer has more words than this. */
export async function untilWords(page: Page, count: number): Promise<void> {
  await page.waitForFunction(
    `document.getElementById("answer")?.textContent.split(" ").length > ${count}`,
    undefined,
    BY_TIME,
  );
}

export async function untilStatus(page: Page, text: string): Promise<void> {
  await page.waitForFunction(
    `document.getElementById("status")?.textContent === ${JSON.stringify(text)}`,
    undefined,
    BY_TIME,
  );
}
