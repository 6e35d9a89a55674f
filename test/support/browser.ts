/** A real browser: Debian's Chromium, driven by playwright-core. */
import { existsSync } from "node:fs";
import { onTestFinished } from "vitest";

/** What these tests use of playwright-core. */
export interface Page {
  goto(url: string): Promise<unknown>;
  reload(): Promise<unknown>;
  evaluate<T>(script: string): Promise<T>;
  exposeFunction(name: string, callback: (text: string) => void): Promise<void>;
  route(
    url: string,
    handler: (route: { fulfill(answer: object): Promise<void> }) => Promise<void>,
  ): Promise<void>;
}
interface Browser {
  newPage(): Promise<Page>;
  close(): Promise<void>;
}
interface Playwright {
  readonly chromium: { launch(options: object): Promise<Browser> };
}

/** The command that Debian's package `chromium` installs. */
const CHROMIUM = "/usr/bin/chromium";

/** Where playwright-core is; by its name once it is among the project's packages. */
const PLAYWRIGHT = process.env["PLAYWRIGHT_CORE"] ?? "playwright-core";

export const hasBrowser = existsSync(CHROMIUM) && process.env["PLAYWRIGHT_CORE"] !== undefined;

/** Opens a browser that ends with the test. */
export async function openBrowser(): Promise<Browser> {
  const { chromium } = (await import(/* @vite-ignore */ PLAYWRIGHT)) as Playwright;
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    // Tests may run as root, where its sandbox does not start, and in containers with a small /dev/shm.
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
  onTestFinished(() => browser.close());
  return browser;
}

/** A page on the service's own origin, which calls `report` in this process. */
export async function openPage(
  browser: Browser,
  url: string,
  script: string,
  report: (text: string) => void,
): Promise<Page> {
  const page = await browser.newPage();
  await page.exposeFunction("report", report);
  await page.route(url, (route) =>
    route.fulfill({
      contentType: "text/html",
      body: `<!doctype html><title>test</title><script>${script}</script>`,
    }),
  );
  await page.goto(url);
  return page;
}
