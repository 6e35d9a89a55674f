/** The page of `/` and the console, in real Chromium, on plain workerd. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { BrowserContextOptions, Page } from "playwright-core";
import { describe, expect, inject, it, vi } from "vitest";
import { PROJECT } from "../../scripts/bundle.ts";
import { CONSOLE_FOLDER } from "../../scripts/console.ts";
import { SESSION_TYPES as SHOWN_TYPES } from "../../src/console/session-types.ts";
import { SESSION_TYPES } from "../../src/core/content.ts";
import type { Session } from "../../src/core/api.ts";
import { apiTokens } from "../support/api-tokens.ts";
import { openBrowser } from "../support/browser.ts";
import { run } from "../support/command.ts";
import { McpSession, readerOf, toolCall } from "../support/mcp/client.ts";
import { answering, startUpstream } from "../support/mcp/gateway.ts";
import { atEnd, beside, shared } from "../support/scope.ts";
import { Service } from "../support/service.ts";

const browser = shared(openBrowser);

/** For tests that look at sessions of their own alone. */
const plain = shared(() => start());

const start = (env: Record<string, string> = {}) => Service.start(env, { pages: CONSOLE_FOLDER });

interface Opened {
  readonly page: Page;
  /** The browser's complaints, and the requests to another host. */
  readonly troubles: string[];
  /** The requests, each with its Authorization header. */
  readonly sent: { readonly url: string; readonly authorization: string | undefined }[];
}

async function open(
  service: Service,
  path: string,
  options: BrowserContextOptions = {},
): Promise<Opened> {
  const context = await (await browser()).newContext(options);
  atEnd(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const troubles: string[] = [];
  const sent: Opened["sent"] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) troubles.push(message.text());
  });
  page.on("pageerror", ({ message }) => troubles.push(message));
  page.on("request", (request) => {
    sent.push({ url: request.url(), authorization: request.headers()["authorization"] });
    if (!request.url().startsWith(`${service.url}/`)) troubles.push(request.url());
  });
  await page.goto(service.url + path);
  return { page, troubles, sent };
}

const seen = (page: Page, text: string | RegExp) => page.getByText(text).first().waitFor();

/** `expect.poll` cannot tell which of the tests beside each other calls it. */
const eventually = (check: () => Promise<void>) =>
  vi.waitFor(check, { timeout: 60_000, interval: 200 });

/** Runs `holdfast create --json` from its source. */
const CREATE = `
  const { main } = await import(${JSON.stringify(join(PROJECT, "scripts/command/main.ts"))});
  await main(["create", "--json"], { package: ${JSON.stringify(join(PROJECT, "package.json"))} });
`;

/** Adds what a session of the test needs, and opens its page. */
async function openSession(service: Service, body: object = {}) {
  const session = await service.make(body);
  const opened = await open(service, `/console#/session/${session.id}`);
  await seen(opened.page, "Time left");
  return { ...opened, session };
}

async function look(service: Service, id: string): Promise<Session> {
  return (await service.send<Session>("GET", `/v1/sessions/${id}?touch=false`)).json;
}

/** The value of a tile, by its label. */
const tile = (page: Page, label: string) =>
  page.locator("dl.tiles div", { hasText: label }).locator("dd").textContent();

describe("the page of /", () => {
  it(
    "says what this is, with the five lines of README.md and links that lead somewhere",
    beside(async () => {
      const service = await plain();
      const { page, troubles } = await open(service, "/");
      const lines = /<!-- five lines -->\n```sh\n(.*?)\n```/s.exec(
        readFileSync(join(PROJECT, "README.md"), "utf8"),
      )?.[1];
      expect(await page.locator("pre").textContent()).toBe(lines);
      const links = await page
        .locator("a")
        .evaluateAll((all) => all.map((a) => a.getAttribute("href") ?? ""));
      expect(links).toEqual(
        expect.arrayContaining(["console", "openapi.json", "docs/operations.md"]),
      );
      for (const link of links) {
        expect([link, (await service.fetch(`/${link}`)).status]).toEqual([link, 200]);
      }
      expect(troubles).toEqual([]);
    }),
  );

  it(
    "gives its files with headers that let a browser load them and nothing else",
    beside(async () => {
      const service = await plain();
      const types = {
        "/": "text/html; charset=utf-8",
        "/console": "text/html; charset=utf-8",
        "/console/console.js": "text/javascript; charset=utf-8",
        "/console/console.css": "text/css; charset=utf-8",
        "/console/icon.svg": "image/svg+xml",
        "/docs/options.md": "text/plain; charset=utf-8",
      };
      for (const [path, type] of Object.entries(types)) {
        const { status, headers } = await service.fetch(path);
        expect([path, status, headers.get("content-type")]).toEqual([path, 200, type]);
        const policy = headers.get("content-security-policy") ?? "";
        expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
        expect(policy).not.toMatch(/unsafe|https?:|\*/);
        expect(headers.get("x-content-type-options")).toBe("nosniff");
        expect(headers.get("x-frame-options")).toBe("DENY");
        expect(headers.get("cross-origin-opener-policy")).toBe("same-origin");
        expect((await service.fetch(path, { method: "HEAD" })).status).toBe(200);
      }
      for (const path of ["/docs/none.md", "/docs/..%2Fconsole.js", "/docs/x.html"]) {
        const { status, headers } = await service.fetch(path);
        expect([path, status]).toEqual([path, 404]);
        expect(headers.get("content-security-policy")).toBe(
          "default-src 'none'; frame-ancestors 'none'",
        );
      }
      expect((await service.fetch("/console", { method: "POST" })).status).toBe(405);
    }),
  );

  it("is small, and no part of the Worker", () => {
    const files = ["console.html", "console.js", "console.css", "icon.svg"];
    const bytes = files
      .map((file) => gzipSync(readFileSync(join(CONSOLE_FOLDER, file))).length)
      .reduce((sum, one) => sum + one, 0);
    expect(bytes).toBeLessThan(40 * 1024);
    expect(readFileSync(join(CONSOLE_FOLDER, "console.js"), "utf8")).toContain("Forget the token");
    expect(readFileSync(inject("bundle"), "utf8")).not.toContain("Forget the token");
  });
});

describe("the console, on a service without AUTH", { timeout: 120_000 }, () => {
  it(
    "lists, counts, filters and pages the sessions, and revokes a subject",
    beside(async () => {
      expect(SHOWN_TYPES).toEqual(SESSION_TYPES);
      const service = await start();
      for (let n = 0; n < 27; n++) await service.make({ subject: "ada", type: "sse" });
      const { id } = await service.make({ subject: "grace & co" });
      const { page, troubles } = await open(service, "/console");
      await seen(page, "28 sessions: 1 mcp, 27 sse, 0 streamable");
      const rows = page.locator("tbody tr");
      expect(await rows.count()).toBe(25);
      await page.getByRole("button", { name: "Older" }).click();
      await seen(page, "Page 2");
      await eventually(async () => expect(await rows.count()).toBe(3));
      await page.getByRole("button", { name: "Newer" }).click();
      await eventually(async () => expect(await rows.count()).toBe(25));

      await page.getByLabel("Subject", { exact: true }).fill("grace & co");
      await page.getByRole("button", { name: "Filter" }).click();
      await seen(page, "1 session: 1 mcp, 0 sse, 0 streamable");
      expect(await rows.allInnerTexts()).toEqual([expect.stringContaining(id)]);
      await page.getByLabel("Type").selectOption("sse");
      await page.getByRole("button", { name: "Filter" }).click();
      await seen(page, "No session fits.");
      await page.goBack();
      await seen(page, "1 session: 1 mcp");

      await page.getByRole("link", { name: "Show all" }).click();
      await page.getByLabel("Subject to revoke").fill("ada");
      await page.getByRole("button", { name: "Revoke" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByText("End every session of ada?").waitFor();
      await dialog.getByRole("button", { name: "Cancel" }).click();
      expect((await service.send("GET", "/v1/sessions/count")).json).toEqual({ count: 28 });
      await page.getByRole("button", { name: "Revoke" }).click();
      await dialog.getByRole("button", { name: "Revoke" }).click();
      await seen(page, "27 sessions of ada ended.");
      await seen(page, "1 session: 1 mcp, 0 sse, 0 streamable");
      await page.getByLabel("Session’s id").fill(id);
      await page.getByRole("button", { name: "Open" }).click();
      await page.getByRole("heading", { name: `Session ${id}` }).waitFor();
      expect(troubles).toEqual([]);
    }),
  );

  it(
    "shows a session live: its content, its events as they come, its readers and its deadline",
    beside(async () => {
      const service = await plain();
      const { page, session, troubles } = await openSession(service, {
        subject: "ada",
        ttlSeconds: 500,
        metadata: { user: "ada", note: "<b>not markup</b>" },
        data: { step: 7 },
      });
      for (const text of ["<b>not markup</b>", '"step": 7', "None yet."]) await seen(page, text);
      expect(await tile(page, "Readers")).toBe("0");
      const first = await tile(page, "Time left");
      expect(first).toMatch(/^[1-8] min \d+ s$/);
      await eventually(async () => expect(await tile(page, "Time left")).not.toBe(first));
      // To look at it is no use of it.
      expect((await look(service, session.id)).expiresAt).toBe(session.expiresAt);

      const path = `/v1/sessions/${session.id}/events`;
      const reader = readerOf(await service.fetch(path));
      await eventually(async () => expect(await tile(page, "Readers")).toBe("1"));
      await service.publish(session.id, { event: "greeting", data: { n: 1 } });
      await seen(page, '{"n":1}');
      await service.publish(session.id, [{ data: "two" }, { data: "<i>three</i>" }]);
      await seen(page, "<i>three</i>");
      const items = await page.locator(".events li").allInnerTexts();
      expect(items.map((text) => text.split(/\s/)[0])).toEqual(["message", "message", "greeting"]);
      // The console takes nothing from the readers.
      const frames = await reader.take(3);
      expect(frames.map(({ data }) => data)).toEqual(['{"n":1}', "two", "<i>three</i>"]);
      await page.getByRole("button", { name: "Disconnect readers" }).click();
      await seen(page, "Disconnected.");
      await reader.rest();
      await eventually(async () => expect(await tile(page, "Readers")).toBe("0"));
      expect((await service.publish(session.id, { data: "four" })).status).toBe(503);
      expect(troubles).toEqual([]);
    }),
  );

  it(
    "publishes, ends the stream and deletes the session",
    beside(async () => {
      const service = await plain();
      const { page, session, troubles } = await openSession(service);
      const publish = page.getByRole("button", { name: "Publish" });
      await page.getByLabel("Event", { exact: true }).fill("greeting");
      await page.getByLabel("Data", { exact: true }).fill('{"hello":');
      await publish.click();
      await seen(page, "This is no JSON");
      await page.getByLabel("Data", { exact: true }).fill('{"hello":"world"}');
      await publish.click();
      await seen(page, "Published, with 0 readers attached.");
      await page.getByLabel("As").selectOption("text");
      await page.getByLabel("Data", { exact: true }).fill("plain {");
      await publish.click();
      await seen(page, "plain {");
      const headers = { accept: "application/json" };
      const read = await service.fetch(`/v1/sessions/${session.id}/events`, { headers });
      expect(await read.json()).toMatchObject({
        events: [
          { event: "greeting", data: '{"hello":"world"}' },
          { event: "greeting", data: "plain {" },
        ],
      });

      await page.getByRole("button", { name: "End stream" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "End stream" }).click();
      await seen(page, "The stream has ended.");
      await eventually(async () => expect(await tile(page, "State")).toBe("stream ended"));
      expect(await publish.count()).toBe(0);
      expect((await look(service, session.id)).ended).toBe(true);

      await page.getByRole("button", { name: "Delete session" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Delete session" }).click();
      await seen(page, "Deleted.");
      expect(await tile(page, "State")).toBe("gone");
      expect((await service.send("GET", `/v1/sessions/${session.id}`)).status).toBe(404);
      expect(troubles).toEqual([]);
    }),
  );

  it(
    "shows MCP sessions with their upstream, revision and client, and the exchanges under way",
    beside(async () => {
      let answer = () => {};
      const asked = new Promise<void>((resolve) => (answer = resolve));
      const upstream = await startUpstream(
        answering(async (_request, { id, method }) => {
          if (method !== "tools/call") return new Response(null, { status: 405 });
          await asked;
          return Response.json({ jsonrpc: "2.0", id, result: { content: [] } });
        }),
      );
      const service = await start({
        UPSTREAMS: JSON.stringify({ default: { url: `${upstream.url}/mcp` } }),
      });
      const session = await McpSession.open(`${service.url}/mcp`);
      await service.make();
      const { page, troubles } = await open(service, "/console#/mcp");
      await seen(page, "1 session with an upstream, of 2 sessions of the type mcp on this page.");
      const row = await page.locator("tbody tr").first().innerText();
      expect(row).toContain(`default ${new URL(upstream.url).host}`);
      expect(row).toMatch(/\b20\d\d-\d\d-\d\d\b/);
      await seen(page, "0 exchanges under way.");
      const call = session.call(toolCall(1, "x"));
      await seen(page, "1 exchange under way.");
      answer();
      await call;
      await seen(page, "0 exchanges under way.");
      await page.getByRole("link", { name: "HTTP+SSE" }).click();
      await seen(page, "0 sessions with an upstream, of 0 sessions of the type sse");
      expect(troubles).toEqual([]);
    }),
  );

  it(
    "shows a session that the command made, and plots its publishes and deliveries",
    beside(async () => {
      const service = await start();
      const env = { HOLDFAST_URL: service.url };
      const created = run(["--input-type=module", "--eval", CREATE], env);
      expect(await created.closed).toBe(0);
      const { id } = JSON.parse(created.lines.join("")) as Session;
      const { page, troubles } = await open(service, "/console");
      await page.getByRole("link", { name: id }).waitFor();
      await eventually(async () => expect(await tile(page, "Events published")).toBe("0"));
      const reader = readerOf(await service.fetch(`/v1/sessions/${id}/events`));
      await reader.until(/retry/);
      await service.publish(id, [{ data: "a" }, { data: "b" }]);
      await eventually(async () => expect(await tile(page, "Events delivered")).toBe("2"));
      expect(await tile(page, "Events published")).toBe("2");
      const plot = page.getByRole("img");
      await eventually(async () =>
        expect(await plot.getAttribute("aria-label")).toMatch(
          /Now 0\.[1-9] published a second, 0\.[1-9] delivered a second/,
        ),
      );
      for (const name of ["published", "delivered"]) {
        // At the bottom is 0.
        const points = (await plot.locator(`.${name}`).getAttribute("points")) ?? "";
        expect(points.split(" ").filter((point) => !point.endsWith(",118.0"))).toHaveLength(1);
      }
      expect(troubles).toEqual([]);
    }),
  );

  it(
    "says of an address that names no page or session that there is none",
    beside(async ({ expect }) => {
      const service = await plain();
      const { page, troubles } = await open(service, "/console#/sessions/x");
      for (const address of ["/session", "/session/"]) {
        await seen(page, "The console has no such page.");
        await page.goto(`${service.url}/console#${address}`);
      }
      await seen(page, "The console has no such page.");
      await page.goto(`${service.url}/console#/session/%`);
      await page.getByRole("alert").first().waitFor();
      expect(await page.getByRole("heading", { name: "%" }).count()).toBe(1);
      await page.goto(`${service.url}/console#/`);
      await seen(page, "Revoke a subject");
      // The browser says of itself that a request failed: the service refuses an id that is none.
      expect(troubles.filter((text) => !text.includes("Failed to load resource"))).toEqual([]);
    }),
  );

  it(
    "says what fails, and goes on when that passes",
    beside(async () => {
      const service = await start();
      const { page, session } = await openSession(service);
      await service.kill();
      await seen(page, "The service does not answer.");
      await service.restart();
      await service.publish(session.id, { data: "after" });
      await page.locator(".events").getByText("after").waitFor();
      await eventually(async () =>
        expect(await page.getByText("The service does not answer.").count()).toBe(0),
      );
      await service.send("DELETE", `/v1/sessions/${session.id}`);
      await seen(page, "There is no session with this id");
    }),
  );
});

describe("the console, however it is used", { timeout: 120_000 }, () => {
  it(
    "works by keyboard alone",
    beside(async () => {
      const service = await plain();
      const { id } = await service.make({ subject: "typist" });
      const { page, troubles } = await open(service, "/console");
      await page.getByRole("link", { name: id }).waitFor();
      const focused = () =>
        page.evaluate("document.activeElement.innerText || document.activeElement.name");
      /** Presses Tab until this has the focus. */
      const tabTo = async (what: string) => {
        for (let n = 0; n < 40; n++) {
          await page.keyboard.press("Tab");
          if ((await focused()) === what) return;
        }
        throw new Error(`Tab does not lead to ${what}`);
      };
      // A page begins at its heading.
      expect(await focused()).toBe("Sessions");
      await tabTo("subject");
      await page.keyboard.type("typist");
      await page.keyboard.press("Enter");
      await seen(page, "1 session: 1 mcp");
      await tabTo(id);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: `Session ${id}` }).waitFor();
      await seen(page, "Time left");
      expect(await focused()).toBe(`Session ${id}`);
      await tabTo("data");
      await page.keyboard.type('"typed"');
      await tabTo("Publish");
      await page.keyboard.press("Enter");
      await page.locator(".events").getByText("typed").waitFor();
      await page.keyboard.press("Shift+Tab");
      await page.reload();
      await seen(page, "typed");
      await tabTo("Delete session");
      await page.keyboard.press("Enter");
      await page.getByRole("dialog").waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "hidden" });
      expect(await focused()).toBe("Delete session");
      await page.keyboard.press("Enter");
      expect(await focused()).toBe("Cancel");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await seen(page, "Deleted.");
      expect(troubles).toEqual([]);
    }),
  );

  it(
    "fits a phone, in the dark",
    beside(async () => {
      const service = await plain();
      const long = "x".repeat(300);
      const { id } = await service.make({ subject: long, metadata: { [long]: long } });
      await service.publish(id, { event: "y".repeat(200), data: long });
      const { page, troubles } = await open(service, "/", {
        viewport: { width: 360, height: 740 },
        colorScheme: "dark",
      });
      for (const [path, text] of [
        ["/", "Five lines"],
        ["/console", / sessions?: \d+ mcp/],
        ["/console#/mcp", / sessions? with an upstream/],
        [`/console#/session/${id}`, long],
      ] as const) {
        await page.goto(service.url + path);
        await seen(page, text);
        const [width, back, front] = (await page.evaluate(
          `[document.documentElement.scrollWidth, ...["backgroundColor", "color"].map((name) => getComputedStyle(document.body)[name])]`,
        )) as [number, string, string];
        expect([path, width]).toEqual([path, 360]);
        expect(brightness(back)).toBeLessThan(40);
        expect(brightness(front)).toBeGreaterThan(200);
      }
      expect(troubles).toEqual([]);
    }),
  );
});

/** From 0 to 255. */
function brightness(color: string): number {
  const parts = [...color.matchAll(/\d+/g)].map(Number);
  return parts.reduce((sum, one) => sum + one, 0) / parts.length;
}

describe("the console, with AUTH=token", { timeout: 120_000 }, () => {
  const protectedService = shared(async () => {
    const tokens = await apiTokens({
      admin: ["root", ["admin"]],
      user: ["ada", ["sessions:read", "sessions:write", "events:subscribe", "events:publish"]],
    });
    const service = await start({ AUTH: "token", API_TOKENS: tokens.variable });
    const [admin = "", user = ""] = tokens.secrets;
    const headers = { ...tokens.headers["user"], "content-type": "application/json" };
    const made = await service.fetch("/v1/sessions", { method: "POST", headers, body: "{}" });
    return { service, admin, user, session: (await made.json()) as Session };
  });

  const enter = async (page: Page, token: string) => {
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Open" }).click();
  };

  it(
    "asks for a token, keeps it in the tab, and sends it in a header",
    beside(async () => {
      const { service, admin, session } = await protectedService();
      const { page, troubles, sent } = await open(service, `/console#/session/${session.id}`);
      await page.getByLabel("Token").waitFor();
      expect(await page.locator("main").innerText()).not.toContain(session.id);
      const paths = new Set(sent.map(({ url }) => new URL(url).pathname));
      paths.delete("/console/icon.svg");
      expect(paths).toEqual(
        new Set(["/console", "/console/console.css", "/console/console.js", "/openapi.json"]),
      );
      await enter(page, admin);
      await seen(page, "Time left");
      expect(await tile(page, "Subject")).toBe("ada");
      await page.getByRole("button", { name: "Disconnect readers" }).click();
      await seen(page, "Disconnected.");
      await page.reload();
      await seen(page, "Time left");
      const calls = sent.filter(({ url }) => url.includes("/v1/") || url.endsWith("/metrics"));
      expect(new Set(calls.map(({ authorization }) => authorization))).toEqual(
        new Set([`Bearer ${admin}`]),
      );
      expect(sent.filter(({ url }) => url.includes(admin))).toEqual([]);
      expect(
        await page.evaluate("[localStorage.length, document.cookie, sessionStorage.length]"),
      ).toEqual([0, "", 1]);
      await page.getByRole("button", { name: "Forget the token" }).click();
      await page.getByLabel("Token").waitFor();
      expect(await page.evaluate("sessionStorage.length")).toBe(0);
      expect(await page.locator("body").innerText()).not.toContain(session.id);
      expect(troubles).toEqual([]);
    }),
  );

  it(
    "shows nothing to a token that is not an admin's, or not valid",
    beside(async () => {
      const { service, user, session } = await protectedService();
      const { page, troubles, sent } = await open(service, `/console#/session/${session.id}`);
      for (const [token, why] of [
        [user, "This token does not have the scope admin"],
        ["none", "The bearer token is not valid."],
      ] as const) {
        await enter(page, token);
        await seen(page, why);
        expect(await page.locator("table, dl, h2").count()).toBe(0);
        expect(await page.evaluate("sessionStorage.length")).toBe(0);
      }
      expect(sent.filter(({ url }) => url.includes("/v1/"))).toEqual([]);
      // The browser itself reports each of the two refusals.
      expect(troubles).toEqual([
        expect.stringContaining("status of 403"),
        expect.stringContaining("status of 401"),
      ]);
    }),
  );
});
