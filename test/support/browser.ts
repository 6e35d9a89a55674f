/** A real browser: Debian's Chromium, driven by playwright-core. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { atEnd } from "./scope.ts";

/** Opens a browser that ends with the test. */
export async function openBrowser(): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: pathOf("chromium"),
    args: [
      // Tests may run as root, where its sandbox does not start, and in containers with a small /dev/shm.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      // A page that a test makes up counts as one of the internet, which may call no server of this machine.
      "--disable-features=LocalNetworkAccessChecks",
    ],
  });
  atEnd(() => browser.close());
  return browser;
}

/** playwright-core takes a path alone. Where there is none it says that there is no such file. */
function pathOf(program: string): string {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return folders.map((folder) => join(folder, program)).find(existsSync) ?? program;
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
