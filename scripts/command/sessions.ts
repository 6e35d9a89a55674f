/** The verbs that make, list, fill and end sessions. Each is one call of the client, or one for each line of input. */
import { createInterface } from "node:readline";
import type { NewEvent } from "../../src/core/api.ts";
import { parseSessionId } from "../../src/core/id.ts";
import { OptionError, readNumber } from "../command-line.ts";
import { textOf, textsOf, type Call, type Given, type Verb } from "./verb.ts";

const EVENT_OPTIONS = {
  event: { type: "string", value: "NAME", help: "the event's name (message)" },
  text: { type: "boolean", help: "take the data as text, also where it looks like JSON" },
} as const;

export const create: Verb = {
  arguments: "",
  summary: "makes a session and prints its id",
  example: "holdfast create --metadata user=ada --ttl 600",
  options: {
    id: { type: "string", value: "UUID", help: "its id (a random one)" },
    type: { type: "string", value: "TYPE", help: "mcp, sse or streamable (mcp)" },
    metadata: { type: "string", multiple: true, value: "KEY=TEXT", help: "may be repeated" },
    data: { type: "string", value: "JSON", help: "any JSON" },
    ttl: { type: "string", value: "SECONDS", help: "lives so long after its last use" },
    "max-lifetime": { type: "string", value: "SECONDS", help: "lives no longer, used or not" },
    subject: { type: "string", value: "SUBJECT", help: "its owner; for admins" },
    overflow: { type: "string", value: "refuse|trim", help: "what a full log does (refuse)" },
  },
  async run({ connection: { client, signal }, output, given }) {
    const data = textOf(given, "data");
    const session = await client.create(
      {
        id: textOf(given, "id"),
        // The service refuses what it does not know, and says what there is.
        type: textOf(given, "type") as "mcp" | undefined,
        metadata: metadataOf(textsOf(given, "metadata")),
        ...(data !== undefined && { data: jsonOf("--data", data) }),
        ttlSeconds: secondsOf(given, "ttl"),
        maxLifetimeSeconds: secondsOf(given, "max-lifetime"),
        subject: textOf(given, "subject"),
        overflow: textOf(given, "overflow") as "refuse" | undefined,
      },
      { signal },
    );
    await output.result(session.id, session);
  },
};

export const publish: Verb = {
  arguments: "ID [DATA]",
  summary: "publishes an event, or each line of the input, and prints the ids of the events",
  example: `holdfast publish "$ID" '{"hello":"world"}' --event greeting`,
  options: {
    ...EVENT_OPTIONS,
    key: {
      type: "string",
      value: "KEY",
      help: "publishes DATA once, however often it is repeated",
    },
  },
  async run(call) {
    const { positionals, given } = call;
    const [id = "", data] = positionals;
    const key = textOf(given, "key");
    if (data !== undefined) return publishOne(call, id, data, key);
    if (key !== undefined) throw new OptionError("--key needs DATA: each line would be a repeat");
    // An input without a line asks the service nothing, and a script's empty "$ID" would go unnoticed.
    if (!parseSessionId(id)) throw new OptionError(`ID must be a UUID, not "${id}"`);
    const { signal } = call.connection;
    const lines = createInterface({ input: process.stdin, crlfDelay: Infinity, signal });
    for await (const line of lines) {
      if (line !== "") await publishOne(call, id, line, undefined);
    }
    signal.throwIfAborted();
  },
};

async function publishOne(
  { connection, output, given }: Call,
  id: string,
  data: string,
  idempotencyKey: string | undefined,
): Promise<void> {
  const { client, signal, answered } = connection;
  const published = await client.publish(id, eventOf(given, data), { idempotencyKey, signal });
  answered();
  await output.result(published.id, published);
}

export const list: Verb = {
  arguments: "",
  summary: "lists sessions, newest first: id, type, when it was made, owner",
  example: "holdfast list --type mcp --all --json",
  options: {
    type: { type: "string", value: "TYPE", help: "only those of this type" },
    subject: { type: "string", value: "SUBJECT", help: "only those of this owner; for admins" },
    limit: { type: "string", value: "N", help: "how many: 1 to 1000 (100)" },
    all: { type: "boolean", help: "all of them, page by page" },
  },
  async run({ connection: { client, signal }, output, given }) {
    const limit = readNumber("--limit", textOf(given, "limit"), { least: 1, whole: true });
    const filter = { type: textOf(given, "type") as "mcp" | undefined };
    let cursor: string | undefined;
    do {
      const subject = textOf(given, "subject");
      const page = await client.list({ ...filter, subject, limit, cursor, signal });
      for (const one of page.sessions) {
        const { id, type, createdAt, subject = "-" } = one;
        await output.result([id, type, createdAt, subject].join("\t"), one);
      }
      if (page.partial)
        output.remark("a part of the directory did not answer: some may be missing");
      cursor = page.cursor;
    } while (cursor !== undefined && given["all"] === true);
    if (cursor !== undefined) output.remark("there are more; --all lists them");
  },
};

export const end: Verb = {
  arguments: "ID [DATA]",
  summary: "ends a session's stream, after one last event if there is DATA, and tells its readers",
  example: `holdfast end "$ID" '{"done":true}'`,
  options: EVENT_OPTIONS,
  async run({ connection: { client, signal }, output, given, positionals }) {
    const [id = "", data] = positionals;
    const ended = await client.end(id, data === undefined ? undefined : eventOf(given, data), {
      signal,
    });
    await output.result(ended.id, ended);
  },
};

export const remove: Verb = {
  arguments: "ID",
  summary: "deletes a session and ends its streams; no error where there is none",
  example: `holdfast delete "$ID"`,
  options: {},
  async run({ connection: { client, signal }, output, positionals, isJson }) {
    const [id = ""] = positionals;
    await client.delete(id, { signal });
    if (isJson) await output.result("", { id, deleted: true });
  },
};

function eventOf(given: Given, data: string): NewEvent {
  const event = textOf(given, "event");
  return {
    ...(event !== undefined && { event }),
    data: given["text"] === true ? data : valueOf(data),
  };
}

/** The value if the text is JSON, else the text. */
function valueOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function jsonOf(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new OptionError(`${name} must be JSON; a text stands in double quotes`);
  }
}

function secondsOf(given: Given, name: string): number | undefined {
  return readNumber(`--${name}`, textOf(given, name), { least: 0 });
}

function metadataOf(pairs: readonly string[]): Record<string, string> | undefined {
  if (pairs.length === 0) return undefined;
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) throw new OptionError(`--metadata must be KEY=TEXT, not "${pair}"`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}
