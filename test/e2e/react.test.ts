/** `useSession` in real Chromium, with the real React in its strict mode, which mounts everything twice. */
import { join } from "node:path";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import { expect, it } from "vitest";
import { openBrowser, openPage } from "../support/browser.ts";
import { Relay } from "../support/relay.ts";
import { Service } from "../support/service.ts";

async function script(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "../support/react-page.ts")],
    bundle: true,
    write: false,
    format: "iife",
    define: { "process.env.NODE_ENV": '"development"' },
  });
  return outputFiles[0]?.text ?? "";
}

const show = (page: Page, id?: string) => page.evaluate(`show(${JSON.stringify(id)})`);

/** Resolves once the element's text is this. */
const until = (page: Page, selector: string, text: string) =>
  page.waitForFunction(
    `document.querySelector(${JSON.stringify(selector)})?.textContent === ${JSON.stringify(text)}`,
    undefined,
    { polling: 100 },
  );

it("a component shows each event once, over cuts, another session and the end", async () => {
  const service = await Service.start();
  const relay = await Relay.to(service.port);
  const [first, second] = [await service.make(), await service.make()];
  const errors: string[] = [];
  const page = await openPage(await openBrowser(), `${relay.url}/page`, await script(), () => {});
  page.on("pageerror", (error) => errors.push(error.message));
  await show(page);
  await until(page, "#status", "idle");
  await service.publish(first.id, [{ data: "a" }, { data: "b" }]);
  await show(page, first.id);
  await until(page, "output", "a b");
  await until(page, "#status", "open");
  const { json } = await service.publish(first.id, { data: "c" });
  await until(page, "#last", json.id);
  relay.cut();
  await until(page, "#status", "reconnecting");
  await service.publish(first.id, { data: "d" });
  await until(page, "output", "a b c d");
  await until(page, "#status", "open");
  // Another session begins anew, and the first one has a reader less.
  await show(page, second.id);
  await until(page, "output", "");
  await service.publish(second.id, { data: "x" });
  await until(page, "output", "x");
  await page.click("button");
  await until(page, "#status", "ended");
  expect(await page.textContent("output")).toBe("x bye");
  await show(page, first.id);
  await until(page, "output", "a b c d");
  await service.send("DELETE", `/v1/sessions/${first.id}`);
  await until(page, "#status", "deleted");
  expect(errors).toEqual([]);
});
