/** examples/llm-stream, as its README starts it, in a real browser. Its picture stays in .holdfast. */
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { answerTo } from "../../../examples/llm-stream/model.ts";
import { PROJECT } from "../../../scripts/bundle.ts";
import { apiTokens } from "../../support/api-tokens.ts";
import { openBrowser } from "../../support/browser.ts";
import { wranglerDev } from "../../support/command.ts";
import { ask, LONG_QUESTION, shown, untilStatus, untilWords } from "../../support/example-page.ts";
import { freePort } from "../../support/free-port.ts";
import { checkTypes, exampleAlone } from "../../support/packed.ts";
import { Relay } from "../../support/relay.ts";
import { shared } from "../../support/scope.ts";
import { Service } from "../../support/service.ts";

const PROMPT = "Why does this survive?";
const ANSWER = answerTo(PROMPT);

const start = shared(async () => {
  const port = await freePort();
  const tokens = await apiTokens({
    app: ["llm-stream", ["sessions:write", "events:publish", "events:subscribe"]],
    operator: ["operator", ["admin"]],
  });
  const [folder, service, browser] = await Promise.all([
    exampleAlone("llm-stream"),
    Service.start({
      AUTH: "token",
      API_TOKENS: tokens.variable,
      TICKET_SECRET: "x".repeat(32),
      // A connection that breaks comes back after a second: each time the ticket is too old.
      TICKET_TTL_SECONDS: "1",
      ALLOWED_ORIGINS: `http://localhost:${port}`,
    }),
    openBrowser(),
  ]);
  const relay = await Relay.to(service.port);
  const vars = { HOLDFAST_URL: relay.url, HOLDFAST_TOKEN: tokens.secrets[0] };
  const { url } = await wranglerDev(
    Object.entries(vars).flatMap(([name, value]) => ["--var", `${name}:${value}`]),
    port,
    folder,
  );
  const context = await browser.newContext();
  const open = async (address = url) => {
    const page = await context.newPage();
    // The bound ends what hangs: a busy machine takes longer than the usual 30 s.
    page.setDefaultTimeout(90_000);
    await page.goto(address);
    return page;
  };
  const session = async (id: string) => {
    const headers = tokens.headers["operator"] ?? {};
    return (await service.fetch(`/v1/sessions/${id}`, { headers })).json();
  };
  return { folder, relay, open, session };
});

beforeAll(async () => void (await start()), 3 * 60_000);

// One after the other: the first one breaks the connections of both.
describe("examples/llm-stream", { timeout: 2 * 60_000 }, () => {
  it("an answer survives a reload, a network that is gone, and a second tab", async () => {
    const { relay, open } = await start();
    const page = await open();
    await ask(page, PROMPT);
    await untilWords(page, 10);
    expect(await page.textContent("#status")).toBe("Streaming");
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
  });

  it("the stop button ends an answer in every tab, and the model with it", async () => {
    const { open, session } = await start();
    const answer = answerTo(LONG_QUESTION);
    const page = await open();
    await ask(page, LONG_QUESTION);
    await untilWords(page, 5);
    const second = await open(page.url());
    await untilWords(second, 8);
    await second.click("text=Stop");
    await Promise.all([page, second].map((tab) => untilStatus(tab, "Stopped")));
    const [text = "", ...others] = await Promise.all([page, second].map(shown));
    expect(others).toEqual([text]);
    expect(answer.startsWith(text)).toBe(true);
    expect(text.length).toBeLessThan(answer.length);
    expect(await page.isDisabled("#stop")).toBe(true);
    expect(await session(new URL(page.url()).hash.slice(1))).toMatchObject({ ended: true });
  });

  it("its types hold against those of the package", async () => {
    const { folder } = await start();
    await expect(checkTypes(folder)).resolves.toBeUndefined();
  });
});
