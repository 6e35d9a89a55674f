/** examples/own-worker as docs/own-worker.md makes it from the tarball, in a real browser, with users of its own. */
import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { PROJECT } from "../../../scripts/bundle.ts";
import { openBrowser } from "../../support/browser.ts";
import { run } from "../../support/command.ts";
import { ask, LONG_QUESTION, shown, untilStatus, untilWords } from "../../support/example-page.ts";
import { checkTypes, packed } from "../../support/packed.ts";
import { atEnd, beside, shared } from "../../support/scope.ts";

const PROMPT = "Why does this stay?";

/** The commands of the page's first block, one a line. */
async function commands(): Promise<readonly string[]> {
  const page = await readFile(join(PROJECT, "docs/own-worker.md"), "utf8");
  return /\n```sh\n([^]*?)\n```/.exec(page)?.[1]?.split("\n") ?? [];
}

/** Runs them in a fresh folder with the tarball alone. The last one goes on until the tests end. */
const start = shared(async () => {
  const [tarball, browser] = await Promise.all([packed(), openBrowser()]);
  const fresh = await mkdtemp(join(tmpdir(), "holdfast-fresh-"));
  atEnd(() => rm(fresh, { recursive: true, force: true }));
  await copyFile(tarball, join(fresh, basename(tarball)));
  const env = {
    CI: "true",
    // The project's Node, which wrangler needs, is not the machine's on each machine.
    PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"]}`,
    npm_config_prefer_offline: "true",
    npm_config_audit: "false",
    npm_config_fund: "false",
  };
  const { lines, printed } = run(["-ec", (await commands()).join("\n")], env, "sh", fresh);
  const url = /http:\S+/.exec(await printed(/Ready on/))?.[0] ?? "";
  const folder = join(fresh, "my-app");
  /** A browser of one user's own. Its first page is logged in, unless the user has no name. */
  const user = async (name?: string) => {
    const context = await browser.newContext();
    const open = async (address = url) => {
      const page = await context.newPage();
      // The bound ends what hangs: a busy machine takes longer than the usual 30 s.
      page.setDefaultTimeout(90_000);
      await page.goto(address);
      return page;
    };
    const page = await open();
    await untilStatus(page, "Log in first.");
    if (name) {
      await page.fill("#login [name=name]", name);
      // Before its script runs, the page that comes then has no status either, and sends its form by itself.
      const loaded = page.waitForEvent("load");
      await page.click("#login >> text=Log in");
      await loaded;
      await untilStatus(page, "");
    }
    return { page, open, request: context.request };
  };
  return { folder, url, lines, user };
});

beforeAll(async () => void (await start()), 3 * 60_000);

describe.concurrent("examples/own-worker", { timeout: 2 * 60_000 }, () => {
  it(
    "five commands make it",
    beside(async () => {
      const lines = await commands();
      expect(lines).toHaveLength(5);
      expect(lines.filter((line) => line.length > 100 || /&&|;|\|/.test(line))).toEqual([]);
    }),
  );

  it(
    "an answer survives a reload, and nobody but its owner can follow it",
    beside(async () => {
      const { url, user } = await start();
      const { page, open, request } = await user("ada");
      await ask(page, PROMPT);
      await untilWords(page, 5);
      expect(await page.textContent("#status")).toBe("Streaming");
      await page.reload();
      await untilWords(page, 10);
      const bob = await user("bob");
      const bobs = await bob.open(page.url());
      await untilStatus(bobs, "You have no such answer.");
      const second = await open(page.url());
      await Promise.all([page, second].map((tab) => untilStatus(tab, "Complete")));
      const [text = "", ...others] = await Promise.all([page, second].map(shown));
      expect(others).toEqual([text]);
      expect(text).toMatch(/^You asked: Why does this stay\? .* ends in every tab\. $/);
      // The user's list leads to it, and the service's own routes know the login.
      const id = new URL(page.url()).hash.slice(1);
      expect(await page.locator("#answers a").getAttribute("href")).toBe(`#${id}`);
      const live = `${url}/live/v1/sessions/${id}`;
      const session = { id, subject: "ada", ended: true, ttlSeconds: 86_400 };
      expect(await (await request.get(live)).json()).toMatchObject(session);
      expect((await bob.request.get(live)).status()).toBe(404);
    }),
  );

  it(
    "the stop button ends an answer in every tab, but no other user's",
    beside(async () => {
      const { url, user } = await start();
      const { page, open } = await user("carol");
      await ask(page, LONG_QUESTION);
      await untilWords(page, 5);
      const dan = await user("dan");
      const end = `${url}/live/v1/sessions/${new URL(page.url()).hash.slice(1)}/end`;
      const headers = { origin: url };
      expect((await dan.request.post(end, { headers })).status()).toBe(404);
      const second = await open(page.url());
      await untilWords(second, 8);
      await second.click("#stop");
      await Promise.all([page, second].map((tab) => untilStatus(tab, "Stopped")));
      const [text = "", ...others] = await Promise.all([page, second].map(shown));
      expect(others).toEqual([text]);
      expect(text).not.toContain("ends in every tab.");
    }),
  );

  it(
    "who is not logged in asks nothing and reads nothing",
    beside(async () => {
      const { url, user } = await start();
      const { request } = await user();
      const data = { prompt: PROMPT };
      expect((await request.post(`${url}/answers`, { data })).status()).toBe(401);
      expect((await request.get(`${url}/live/v1/sessions`)).status()).toBe(401);
      const cookie = { cookie: "login=ada.bm90LWEtc2lnbmF0dXJl" };
      const forged = await request.get(`${url}/live/v1/sessions`, { headers: cookie });
      expect(forged.status()).toBe(401);
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
