/** The command `holdfast` over the packed package, against the service on plain workerd. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { beforeAll, expect, it, onTestFinished } from "vitest";
import { apiTokens } from "../support/api-tokens.ts";
import { freePort } from "../support/free-port.ts";
import { holdfast, packedCommand } from "../support/packed.ts";
import { SeveringRelay } from "../support/severing-relay.ts";
import { Service } from "../support/service.ts";
import { shared } from "../support/scope.ts";

let command: string;
beforeAll(async () => {
  command = await packedCommand();
});

const opened = shared(() => Service.start());

/** Starts the command, to be read line by line. */
function start(args: readonly string[], url: string) {
  const child = spawn(process.execPath, [command, ...args], {
    env: { PATH: process.env["PATH"], HOLDFAST_URL: url },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const exit = once(child, "close").then(([status]) => status as number);
  const said: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => said.push(line));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => (await lines.next()).value as string | undefined;
  return { child, exit, said, next };
}

it("makes, fills, lists, ends and deletes a session", async () => {
  const env = { HOLDFAST_URL: (await opened()).url };
  const made = await holdfast(["create", "--metadata", "user=ada", "--ttl", "60", "--json"], env);
  const session = JSON.parse(made.stdout) as { id: string; metadata: object; ttlSeconds: number };
  expect(session).toMatchObject({ metadata: { user: "ada" }, ttlSeconds: 60 });
  const { id } = session;
  const one = await holdfast(["publish", id, '{"n":1}', "--event", "step"], env);
  expect(one).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\S+-\d{12}-0\n$/) });
  const many = await holdfast(["publish", id], env, "plain\n\n[2]\n");
  expect(many.stdout.trim().split("\n")).toHaveLength(2);
  expect((await holdfast(["list", "--all"], env)).stdout).toContain(`${id}\tmcp\t`);
  expect((await holdfast(["end", id, "--text", "3"], env)).status).toBe(0);
  const tail = await holdfast(["tail", id, "--from", "earliest"], env);
  expect(tail).toEqual({
    status: 0,
    stdout: 'step\t{"n":1}\nmessage\tplain\nmessage\t[2]\nmessage\t3\n',
    stderr: "holdfast: the stream is over: ended\n",
  });
  expect(await holdfast(["delete", id], env)).toEqual({ status: 0, stdout: "", stderr: "" });
  expect((await holdfast(["tail", id], env)).status).toBe(3);
});

it("repeats a publish under a key without publishing twice", async () => {
  const { url } = await opened();
  const { id } = await (await opened()).make();
  const publish = () => holdfast(["publish", id, "1", "--key", "k"], { HOLDFAST_URL: url });
  expect((await publish()).stdout).toBe((await publish()).stdout);
});

it("prints nothing that a terminal would take for a command", async () => {
  const service = await opened();
  const { id } = await service.make();
  await service.publish(id, { event: "e", data: "\u001b[2J\u009b1m\nx" });
  await holdfast(["end", id], { HOLDFAST_URL: service.url });
  const { stdout } = await holdfast(["tail", id], { HOLDFAST_URL: service.url });
  expect(stdout).toBe("e\t\\u001b[2J\\u009b1m\\nx\n");
});

it("tail resumes where a connection was cut, and in the next run where --resume says", async () => {
  const service = await opened();
  const { id } = await service.make();
  const relay = await SeveringRelay.open(service.port);
  onTestFinished(() => relay.close());
  const folder = await mkdtemp(join(tmpdir(), "holdfast-tail-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const place = join(folder, "place");
  const args = ["tail", id, "--json", "--resume", place];
  const first = start(args, relay.url);
  const ids: string[] = [];
  for (const n of [1, 2]) {
    const { json } = await service.publish(id, { data: n });
    ids.push(json.id);
    expect(await first.next()).toBe(
      JSON.stringify({ type: "event", id: json.id, event: "message", data: String(n) }),
    );
    relay.cut();
  }
  first.child.kill("SIGINT");
  expect(await first.exit).toBe(130);
  expect(first.said.at(-1)).toBe("holdfast: ended by SIGINT");
  expect(first.said.at(-2)).toContain(`--after ${ids.at(-1)} goes on there`);
  expect((await readFile(place, "utf8")).trim()).toBe(ids.at(-1));
  const { json } = await service.publish(id, { data: 3 });
  const second = start(args, service.url);
  expect(await second.next()).toContain(json.id);
  second.child.kill("SIGTERM");
  expect(await second.exit).toBe(143);
});

it("ends quietly when nobody reads its output any more", async () => {
  const service = await opened();
  const { id } = await service.make();
  const tail = start(["tail", id], service.url);
  await service.publish(id, { data: 1 });
  expect(await tail.next()).toBe("message\t1");
  tail.child.stdout.destroy();
  // The system says so at the first write or the second.
  for (let n = 2; tail.child.exitCode === null && n < 200; n++)
    await service.publish(id, { data: n });
  expect([await tail.exit, tail.said]).toEqual([141, []]);
});

it("says in one line why it failed, with a status for each kind", async () => {
  const { url } = await opened();
  const absent = `http://127.0.0.1:${await freePort()}`;
  const unknown = "5e551011-0000-4000-8000-00000000dead";
  const cases: [string[], Record<string, string>, number, RegExp][] = [
    [["list"], { HOLDFAST_URL: absent }, 5, /^no answer from \S+ \(HOLDFAST_URL\): ECONNREFUSED$/],
    [["tail", unknown], { HOLDFAST_URL: absent }, 5, /^no answer from \S+ .*: ECONNREFUSED$/],
    [["tail", unknown], { HOLDFAST_URL: url }, 3, /^404 session_not_found: /],
    [["publish", unknown, "1"], { HOLDFAST_URL: url }, 3, /^404 session_not_found: /],
    [["create", "--id", "x"], { HOLDFAST_URL: url }, 1, /^400 /],
    [["list"], { HOLDFAST_URL: "nowhere" }, 2, /^HOLDFAST_URL must be an absolute URL/],
    [["list", "--url", "nowhere"], {}, 2, /^--url must be an absolute URL/],
    [["list"], { HOLDFAST_TOKEN: "a b" }, 2, /^HOLDFAST_TOKEN must /],
    [["publish", "{}"], { HOLDFAST_URL: url }, 2, /^ID must be a UUID, not "\{\}"$/],
    [["create", "--bogus"], {}, 2, /^Unknown option '--bogus'; holdfast create --help$/],
    [["create", "--ttl", "soon"], {}, 2, /^--ttl must be a number of at least 0, not "soon"$/],
    [["create", "--data", "{"], {}, 2, /^--data must be JSON/],
    [["publish"], {}, 2, /^ID is missing; holdfast publish --help$/],
    [["delete", "a", "b"], {}, 2, /^"b" is one argument too many; holdfast delete --help$/],
    [["frob"], {}, 2, /^there is no verb "frob"; holdfast --help lists all$/],
    [[], {}, 2, /^a verb is needed; holdfast --help lists all$/],
    [["token"], {}, 2, /^--subject is needed$/],
  ];
  for (const [args, env, status, line] of cases) {
    const said = await holdfast(args, env);
    expect([args, said.status, said.stdout]).toEqual([args, status, ""]);
    expect(said.stderr).toMatch(/^holdfast: [^\n]+\n$/);
    expect(said.stderr.slice("holdfast: ".length, -1)).toMatch(line);
  }
});

it("tells a wrong token from a scope that is missing", async () => {
  const { variable, secrets } = await apiTokens({ ada: ["ada", ["sessions:read"]] });
  const service = await Service.start({ AUTH: "token", API_TOKENS: variable });
  const env = { HOLDFAST_URL: service.url };
  const as = (token: string, ...args: string[]) =>
    holdfast(args, { ...env, HOLDFAST_TOKEN: token });
  const wrong = await as("wrong", "list");
  expect([wrong.status, wrong.stderr]).toEqual([
    4,
    expect.stringMatching(/^holdfast: 401 .*\(HOLDFAST_TOKEN\)\n$/),
  ]);
  expect(wrong.stderr).not.toContain("wrong");
  const [secret = ""] = secrets;
  expect((await as(secret, "list")).status).toBe(0);
  const create = await as(secret, "create");
  expect([create.status, create.stderr]).toEqual([
    4,
    expect.stringMatching(/^holdfast: 403 .*\n$/),
  ]);
});

it("shows an example of each verb", async () => {
  const { stdout } = await holdfast(["--help"]);
  const verbs = [...stdout.matchAll(/^ {2}([a-z]+) {2,}/gm)].map(([, verb = ""]) => verb);
  expect(verbs).toEqual("create publish tail list end delete import token serve".split(" "));
  for (const verb of verbs) {
    const help = await holdfast([verb, "--help"]);
    expect([help.status, help.stderr]).toEqual([0, ""]);
    expect(help.stdout).toMatch(new RegExp(`^example: .*holdfast ${verb}`, "m"));
  }
});

it("makes a token as JSON", async () => {
  const { stdout } = await holdfast(["token", "--subject", "ada", "--scopes", "mcp", "--json"]);
  const { token, entry } = JSON.parse(stdout) as { token: string; entry: object };
  expect(token).toMatch(/^hf_/);
  expect(entry).toMatchObject({ subject: "ada", scopes: ["mcp"] });
});
