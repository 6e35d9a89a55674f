/** The official client in one of its modes, and the abilities that it tries on a server of either era. */
import {
  Client,
  LOG_LEVEL_META_KEY,
  ProtocolError,
  StreamableHTTPClientTransport,
  type ClientOptions,
} from "@modelcontextprotocol/client";
import { expect } from "vitest";
import { atEnd } from "../scope.ts";
import { PROMPTS, type EraServer } from "./era-server.ts";

export const MODES = {
  legacy: { mode: "legacy" },
  auto: { mode: "auto" },
  "2026-07-28": { mode: { pin: "2026-07-28" } },
} as const satisfies Record<string, ClientOptions["versionNegotiation"]>;

export type Mode = keyof typeof MODES;

const WATCHED = "test://watched-resource";
/** Milliseconds until a request, and all that an ability waits for, counts as lost. */
const PATIENCE_MS = 10_000;
const PATIENT = { timeout: PATIENCE_MS };

export interface EraClient {
  readonly client: Client;
  readonly server: EraServer;
  /** The user's answer from now on. */
  answer: "accept" | "decline";
  /** Messages of the elicitations that came. */
  readonly asked: string[];
  readonly logged: unknown[];
  /** One entry for each change of the tools that it was told of. */
  readonly changes: number[];
  readonly updated: string[];
}

/** Connects, and leaves with the test, or with all that share it. Throws if the client cannot. */
export async function connectEra(mode: Mode, url: string, server: EraServer): Promise<EraClient> {
  const [asked, logged, changes, updated]: [string[], unknown[], number[], string[]] = [
    [],
    [],
    [],
    [],
  ];
  const note = <T>(list: T[], one: T): void => {
    list.push(one);
    server.effects.changed();
  };
  const client = new Client(
    { name: `era-${mode}`, version: "1" },
    {
      capabilities: { elicitation: {}, sampling: {}, roots: {} },
      versionNegotiation: MODES[mode],
      listChanged: {
        tools: {
          autoRefresh: false,
          debounceMs: 0,
          onChanged: () => note(changes, changes.length + 1),
        },
      },
    },
  );
  const era: EraClient = { client, server, answer: "accept", asked, logged, changes, updated };
  client.setRequestHandler("elicitation/create", ({ params }) => {
    note(asked, params.message);
    const { answer: action } = era;
    return action === "accept" ? { action, content: { name: params.message } } : { action };
  });
  client.setRequestHandler("sampling/createMessage", () => ({
    role: "assistant",
    model: "m",
    content: { type: "text", text: "Paris" },
  }));
  client.setRequestHandler("roots/list", () => ({ roots: [{ uri: "file:///root" }] }));
  client.setNotificationHandler("notifications/message", ({ params }) => note(logged, params.data));
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => {
    note(updated, params.uri);
  });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)), PATIENT);
  atEnd(() => client.close());
  return era;
}

let tags = 0;
/** Calls a tool under a new tag, and returns what it says. */
async function callTagged(
  { client }: EraClient,
  name: string,
  options: object = {},
  meta?: Record<string, unknown>,
): Promise<{ tag: string; said: string }> {
  const tag = `tag-${++tags}`;
  const params = { name, arguments: { tag }, ...(meta && { _meta: meta }) };
  const { content } = await client.callTool(params, { ...PATIENT, ...options });
  return { tag, said: content[0]?.type === "text" ? content[0].text : "" };
}

/** It must have said this, and have taken effect once. */
async function says(era: EraClient, name: string, what: unknown): Promise<void> {
  const { tag, said } = await callTagged(era, name);
  expect(JSON.parse(said)).toEqual(what);
  expect(era.server.effects.of(tag)).toBe(1);
}

const isModern = ({ client }: EraClient) => client.getProtocolEra() === "modern";

/** By its name in issue and table. Each throws if the client does not get what it should. */
export const ABILITIES: Readonly<Record<string, (era: EraClient) => Promise<void>>> = {
  async connect({ client, server }) {
    expect(client.getServerVersion()).toMatchObject({ name: `${server.era}-only` });
    expect(client.getInstructions()).toBe(`speaks ${server.era}`);
    expect(client.getServerCapabilities()).toMatchObject({
      tools: { listChanged: true },
      resources: { subscribe: true },
    });
  },
  async "list with pages"({ client }) {
    expect((await client.listTools(undefined, PATIENT)).tools.length).toBeGreaterThan(20);
    const { prompts } = await client.listPrompts(undefined, PATIENT);
    expect(prompts.map(({ name }) => name)).toEqual(PROMPTS.map(({ name }) => name));
    expect((await client.listResources(undefined, PATIENT)).resources).toHaveLength(3);
    const read = await client.readResource({ uri: "test://static-text" }, PATIENT);
    expect(read.contents).toMatchObject([{ mimeType: "text/plain" }]);
  },
  async call(era) {
    const { tag, said } = await callTagged(era, "era_echo");
    expect([said, era.server.effects.of(tag)]).toEqual([tag, 1]);
    // In the modern era a header repeats the tool's parameter.
    const region = { name: "test_header_param", arguments: { region: "eu" } };
    expect((await era.client.callTool(region, PATIENT)).content).toMatchObject([{ text: "eu" }]);
  },
  async progress(era) {
    const seen: number[] = [];
    await callTagged(era, "era_progress", {
      onprogress: ({ progress }: { progress: number }) => seen.push(progress),
    });
    expect(seen).toEqual([1, 2, 3]);
  },
  async "elicitation accepted"(era) {
    era.answer = "accept";
    await says(era, "era_elicit", ["accept", "first"]);
    await says(era, "era_elicit_twice", [
      ["accept", "first"],
      ["accept", "second"],
    ]);
    await says(era, "era_elicit_aside", ["accept", "aside"]);
    expect(era.asked).toEqual(["first", "first", "second", "aside"]);
  },
  async "elicitation declined"(era) {
    era.answer = "decline";
    await says(era, "era_elicit", ["decline", null]);
  },
  async sampling(era) {
    await says(era, "era_sample", { type: "text", text: "Paris" });
  },
  async roots(era) {
    await says(era, "era_roots", [{ uri: "file:///root" }]);
  },
  async cancellation(era) {
    const { effects } = era.server;
    const abort = new AbortController();
    // Not before the answer has begun: docs/mcp.md has that limit, for clients of 2026-07-28.
    const onprogress = () => abort.abort();
    const call = callTagged(era, "era_wait", { signal: abort.signal, onprogress });
    const tag = `tag-${tags}`;
    await expect(call).rejects.toThrow();
    await effects.until(() => effects.cancelled.has(tag));
  },
  async "list changes"({ changes, server }) {
    await server.heardBy("list");
    server.toolsChanged();
    await server.effects.until(() => changes.length > 0);
  },
  async "resource updates"(era) {
    const { client, server, updated } = era;
    if (isModern(era)) await client.listen({ resourceSubscriptions: [WATCHED] }, PATIENT);
    else await client.subscribeResource({ uri: WATCHED }, PATIENT);
    await server.heardBy(WATCHED);
    server.resourceUpdated("test://static-text");
    server.resourceUpdated(WATCHED);
    await server.effects.until(() => updated.length > 0);
    expect(updated).toEqual([WATCHED]);
  },
  async "logging level"(era) {
    const modern = isModern(era);
    if (!modern) await era.client.setLoggingLevel("warning", PATIENT);
    const meta = modern ? { [LOG_LEVEL_META_KEY]: "warning" } : undefined;
    const { tag } = await callTagged(era, "era_log", {}, meta);
    expect(era.logged).toEqual([`${tag} error`]);
  },
  async completion({ client }) {
    const ref = { type: "ref/prompt" as const, name: "test_prompt_with_arguments" };
    const argument = { name: "arg1", value: "par" };
    const { completion } = await client.complete({ ref, argument }, PATIENT);
    expect(completion.values).toEqual(["paris", "park", "party"]);
  },
  // 2026-07-28 has no ping. Its clients ask `server/discover`.
  async ping(era) {
    await (isModern(era) ? era.client.discover(PATIENT) : era.client.ping(PATIENT));
  },
  async errors(era) {
    const { client } = era;
    const failed = await client.callTool({ name: "era_fail", arguments: { tag: "t" } }, PATIENT);
    expect(failed).toMatchObject({ isError: true, content: [{ text: "t failed" }] });
    const codeOf = (work: Promise<unknown>) =>
      work.then(
        () => "no error",
        (error) => (error instanceof ProtocolError ? error.code : String(error)),
      );
    expect(await codeOf(client.callTool({ name: "unknown" }, PATIENT))).toBe(-32602);
    expect(await codeOf(client.getPrompt({ name: "unknown" }, PATIENT))).toBe(-32602);
    // The eras have different codes for this one.
    const read = client.readResource({ uri: "test://unknown" }, PATIENT);
    expect([-32002, -32602]).toContain(await codeOf(read));
  },
};

/** Tries each ability, and returns what went wrong by its name; undefined where nothing did. */
export async function tryAll(
  mode: Mode,
  url: string,
  server: EraServer,
): Promise<{ readonly version: string | undefined; readonly wrong: ReadonlyMap<string, unknown> }> {
  const wrong = new Map<string, unknown>();
  const era = await connectEra(mode, url, server).catch((cause: unknown) => {
    for (const name of Object.keys(ABILITIES)) wrong.set(name, cause);
  });
  if (!era) return { version: undefined, wrong };
  for (const [name, run] of Object.entries(ABILITIES)) {
    await within(run(era)).catch((cause: unknown) => wrong.set(name, cause));
  }
  return { version: era.client.getNegotiatedProtocolVersion(), wrong };
}

async function within(work: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error("nothing came")), PATIENCE_MS);
  await Promise.race([work, late.promise]).finally(() => clearTimeout(timer));
}
