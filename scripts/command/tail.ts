/** `holdfast tail`: prints a session's events as they come, over as many connections as it takes. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import type { Followed } from "../../src/client/follow.ts";
import { OptionError } from "../command-line.ts";
import type { Output } from "./output.ts";
import { textOf, type Call, type Given, type Verb } from "./verb.ts";

export const tail: Verb = {
  arguments: "ID",
  summary: "prints events as they come, until the stream ends; resumes where a connection was cut",
  example: `holdfast tail "$ID" --resume tail.id --json`,
  options: {
    from: { type: "string", value: "earliest", help: "replays all that is retained first" },
    after: { type: "string", value: "EVENT", help: "goes on after this event's id" },
    resume: {
      type: "string",
      value: "FILE",
      help: "goes on after the event whose id is in FILE, and keeps it there",
    },
  },
  async run(call) {
    const { connection, output, given, positionals } = call;
    const { client, signal, answered } = connection;
    const [id = ""] = positionals;
    const place = placeOf(given);
    const following = client.follow(id, {
      lastEventId: place.last,
      from: place.last === undefined ? fromOf(given) : undefined,
      signal,
      onOpen: answered,
    });
    try {
      for await (const item of following) {
        await print(item, call);
        if (item.type === "event") place.keep(item.id);
      }
    } catch (failure) {
      if (signal.aborted) sayPlace(output, place.last);
      throw failure;
    }
  },
};

/** How far the events are printed. */
interface Place {
  readonly last: string | undefined;
  keep(id: string): void;
}

function placeOf(given: Given): Place {
  const file = textOf(given, "resume");
  let last = textOf(given, "after") ?? (file === undefined ? undefined : readId(file));
  return {
    get last() {
      return last;
    },
    keep(id) {
      last = id;
      if (file === undefined) return;
      // A rename: a command that is killed leaves the old id or the new one.
      writeFileSync(`${file}.new`, `${id}\n`);
      renameSync(`${file}.new`, file);
    },
  };
}

function readId(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim() || undefined;
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw failure;
  }
}

function fromOf(given: Given): "earliest" | undefined {
  const from = textOf(given, "from");
  if (from === undefined || from === "earliest") return from;
  throw new OptionError(`--from must be earliest, not "${from}"`);
}

async function print(item: Followed, { output, isJson }: Call): Promise<void> {
  if (item.type === "event") {
    const { id, event, data } = item;
    // In one line, whatever the data is.
    const text = `${event}\t${data.replaceAll("\n", "\\n")}`;
    // As text: only the publisher knows whether it was JSON, and a number may not fit into a double.
    return output.result(text, { type: "event", id, event, data });
  }
  if (isJson) return output.result("", item);
  output.remark(
    item.type === "gap"
      ? "events are missing here: they are no longer retained"
      : `the stream is over: ${item.reason}`,
  );
}

function sayPlace(output: Output, last: string | undefined): void {
  if (last !== undefined) output.remark(`printed up to ${last}; --after ${last} goes on there`);
}
