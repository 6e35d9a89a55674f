/** The commands, as a new user runs them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, type TestContext } from "vitest";
import { PROJECT } from "../../scripts/bundle.ts";
import { killGroup, run, wranglerDev, type Running } from "../support/command.ts";
import { freePort } from "../support/free-port.ts";
import { packedCommand } from "../support/packed.ts";
import { atEnd, beside } from "../support/scope.ts";

type How = "npm run serve" | "holdfast serve";

async function serve(
  env: Record<string, string> = {},
  how: How = "holdfast serve",
): Promise<Running & { url: string }> {
  const stateDir = await mkdtemp(join(tmpdir(), "holdfast-serve-"));
  atEnd(() => rm(stateDir, { recursive: true, force: true }));
  const port = String(await freePort());
  const variables = { PORT: port, STATE_DIR: stateDir, ...env };
  const command = await packedCommand();
  // The tarball was built before, so `npm run serve` finds its build and makes none.
  const running =
    how === "holdfast serve"
      ? run([command, "serve"], variables)
      : run(["run", "--silent", "serve"], variables, "npm");
  const line = await running.printed(/^holdfast listening on /);
  expect(line).toBe(`holdfast listening on http://127.0.0.1:${port}`);
  return { ...running, url: `http://127.0.0.1:${port}` };
}

const answers = (url: string) =>
  fetch(`${url}/healthz`).then(
    () => true,
    () => false,
  );

/**
 * Milliseconds for an end that is promised within 5 s. On a busy machine npm and three
 * processes take longer by themselves; workerd alone, left its streams, would never end.
 */
const END_TIMEOUT_MS = 20_000;

/** Ends it with ten streams open: soon, by its own will, and nothing of it is left. */
async function expectSoonEnd(
  { url, process, exit }: Running & { url: string },
  signal: "SIGTERM" | "SIGINT",
): Promise<void> {
  const made = (await (await fetch(`${url}/v1/sessions`, { method: "POST" })).json()) as {
    id: string;
  };
  const streams = await Promise.all(
    Array.from({ length: 10 }, () => fetch(`${url}/v1/sessions/${made.id}/events`)),
  );
  expect(streams.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200));
  const ends = streams.map((stream) =>
    stream.text().then(
      () => {},
      () => {},
    ),
  );
  const before = performance.now();
  process.kill(signal);
  expect(await exit).toBe(0);
  expect(performance.now() - before).toBeLessThan(END_TIMEOUT_MS);
  await Promise.all(ends);
  expect(await answers(url)).toBe(false);
}

/** The README's five lines, and the stream that it shows for the third. */
async function readmeLines(): Promise<{ lines: string[]; stream: string }> {
  const readme = await readFile(join(PROJECT, "README.md"), "utf8");
  const block = /<!-- five lines -->\n```sh\n([\s\S]*?)```/.exec(readme)?.[1];
  const stream = / {3}```\n([\s\S]*?) {3}```/.exec(readme)?.[1];
  if (block === undefined || stream === undefined) throw new Error("the README has lost its lines");
  return { lines: block.trim().split("\n"), stream: stream.replaceAll(/^ {3}/gm, "") };
}

/** Ids and random parts differ from run to run; all else must be as printed. */
function shape(text: string): string {
  return text
    .replaceAll(/[0-9a-z]{15}-(\d{12})-0/g, "EPOCH-$1-0")
    .replaceAll(/retry: 1\d{3}(?=\n\n)/g, "retry: SPREAD")
    .trim();
}

it("the README's five lines can be pasted: one program each, and nothing for a shell to work out", async () => {
  for (const line of (await readmeLines()).lines) {
    expect(line).toMatch(/^curl -s /);
    // To every shell, quoted text is text.
    expect(line.replaceAll(/'[^']*'/g, "")).not.toMatch(/[$`|&;<>*?~\\]/);
  }
});

/** Up to seven share what time a busy machine has for one. */
const AT_ONCE = { timeout: 6 * 60_000 };

// Most of the time a test waits for a program to start, so they start beside each other.
describe("the commands", AT_ONCE, () => {
  it.concurrent.each(["npm run serve", "npm start"])(
    "the README's five lines do what it says, against %s",
    beside(async (how: string) => {
      const isServe = how === "npm run serve";
      const service = isServe ? await serve({}, how) : await wranglerDev();
      const { url } = service;
      const { lines, stream } = await readmeLines();
      expect(lines).toHaveLength(5);
      const printed: string[] = [];
      for (const line of lines) {
        const shell = spawn("bash", ["-c", line.replace("http://localhost:8787", url)], {
          detached: true,
        });
        // With what it waits for, should that never come.
        atEnd(() => killGroup(shell));
        let output = "";
        shell.stdout.on("data", (data: Buffer) => (output += data.toString()));
        await once(shell, "close");
        printed.push(output);
      }
      // In a terminal no answer sticks to the next one.
      expect(printed.filter((output) => !output.endsWith("\n"))).toEqual([]);
      const [made = "", published = "", followed = "", replayed = "", ended = ""] = printed;
      const { id, connected, metadata } = JSON.parse(made) as Record<string, unknown>;
      expect([connected, metadata]).toEqual([false, { user: "ada" }]);
      expect(lines.every((line) => line.includes(String(id)))).toBe(true);
      const event = JSON.parse(published) as { id: string; writers: number };
      expect(event.writers).toBe(0);
      expect(shape(followed)).toBe(shape(stream));
      expect(followed).toContain(`event: greeting\ndata: {"hello":"world"}\nid: ${event.id}\n`);
      // Each bridge writes a comment after the last event, to learn whether its reader lives on.
      expect(shape(replayed)).toBe(shape(stream));
      expect(ended).toMatch(/^HTTP\/1\.1 204 /);
      for (const page of ["/", "/console", "/console/console.js", "/docs/options.md"]) {
        const { status, headers } = await fetch(url + page);
        expect([page, status]).toEqual([page, 200]);
        expect(headers.get("content-security-policy")).toContain("script-src 'self'");
      }
      // As a supervisor ends it; below, as a terminal does.
      if (isServe) await expectSoonEnd(service, "SIGTERM");
    }),
  );

  it.concurrent.each([
    [
      "SESSION_TTL_SECONDS",
      "soon",
      /^holdfast: SESSION_TTL_SECONDS must be a number of seconds from .*, not "soon"$/,
    ],
    ["PORT", "http", /^holdfast: PORT must be a whole number/],
    [
      "UPSTREAMS",
      '{"default":{"url":"http://x","headers":{"A":"a\\nb"}}}',
      /^holdfast: UPSTREAMS default: headers\.A must hold no line end/,
    ],
    [
      "UPSTREAMS",
      '{"default":{"url":"http://x","headers":{"A":"$ABSENT"}}}',
      /^holdfast: UPSTREAMS default: there is no secret ABSENT, which headers\.A names: add it to the environment, .*$/,
    ],
    [
      "UPSTREAMS",
      '{"default":{"binding":"ABSENT"}}',
      /^holdfast: UPSTREAMS default: there is no service binding ABSENT: holdfast serve has none, so give the server's url$/,
    ],
    ["UPSTREAMS", '{"own":{"server":true}}', /^holdfast: UPSTREAMS own: server must be a function/],
    [
      "LOGLEVEL",
      "debug",
      /^holdfast: there is no variable LOGLEVEL; is it meant to be LOG_LEVEL\?$/,
    ],
    ["JURISDICTION", "eu", /^holdfast: JURISDICTION=eu cannot be kept here: /],
    ["STATE_DIR", "/proc/holdfast/state", /^holdfast: STATE_DIR=\S+ cannot be used: ENOENT/],
    ["HOST", "host.invalid", /^holdfast: HOST=host.invalid is reachable by others/],
  ])(
    "does not start with a bad %s, and says what was expected",
    beside(async (name: string, value: string, message: RegExp) => {
      const running = run([await packedCommand(), "serve"], { [name]: value });
      expect(await running.closed).toBe(1);
      expect(running.lines).toEqual([expect.stringMatching(message)]);
    }),
  );

  it.concurrent(
    "npm run serve ends soon after SIGINT with ten streams open, and takes workerd along",
    beside(async () => expectSoonEnd(await serve({}, "npm run serve"), "SIGINT")),
  );

  it.concurrent(
    "keeps sessions over a restart, and its storage to itself until it has ended; killed, it leaves no workerd behind",
    beside(async ({ expect }: TestContext) => {
      const stateDir = await mkdtemp(join(tmpdir(), "holdfast-serve-"));
      atEnd(() => rm(stateDir, { recursive: true, force: true }));
      const first = await serve({ STATE_DIR: stateDir });
      const rival = run([await packedCommand(), "serve"], {
        STATE_DIR: stateDir,
        PORT: "0",
      });
      expect(await rival.closed).toBe(1);
      expect(rival.lines).toEqual([`holdfast: STATE_DIR=${stateDir} is in use by another process`]);
      const port = new URL(first.url).port;
      const other = run([await packedCommand(), "serve"], {
        STATE_DIR: join(stateDir, "other"),
        PORT: port,
      });
      expect(await other.closed).toBe(1);
      expect(other.lines).toEqual([
        `holdfast: PORT=${port} is taken: another program listens there (HOST=127.0.0.1)`,
      ]);
      const made = (await (await fetch(`${first.url}/v1/sessions`, { method: "POST" })).json()) as {
        id: string;
      };
      await expectSoonEnd(first, "SIGTERM");
      const second = await serve({ STATE_DIR: stateDir });
      expect((await fetch(`${second.url}/v1/sessions/${made.id}`)).status).toBe(200);
      second.process.kill("SIGKILL");
      await second.exit;
      await expect.poll(() => answers(second.url)).toBe(false);
    }),
  );
});
