/**
 * The command `holdfast`: its verbs over the client, and `serve`. It prints one line for each failure,
 * and its status says which kind that was.
 */
import { readFileSync } from "node:fs";
import { OptionError, parseOptions } from "../command-line.ts";
import { connect, type Connection } from "./connection.ts";
import { CommandFailure, endOf, reasonOf, STATUS, STATUSES_IN_WORDS } from "./failure.ts";
import { importSessions } from "./import.ts";
import { outputOf } from "./output.ts";
import { create, end, list, publish, remove } from "./sessions.ts";
import { tail } from "./tail.ts";
import { textOf, type Given, type Verb, type VerbOption } from "./verb.ts";

/** Where the package's files are. */
export interface Places {
  readonly package: string;
  /** The folder of what `serve` runs. */
  readonly artifact: string;
}

const VERBS: Readonly<Record<string, Verb>> = {
  create,
  publish,
  tail,
  list,
  end,
  delete: remove,
  import: importSessions,
};

/** Options of every verb that calls the service. */
const COMMON: Readonly<Record<string, VerbOption>> = {
  json: { type: "boolean", help: "prints JSON, one value a line" },
  url: { type: "string", value: "URL", help: "the service (HOLDFAST_URL, http://127.0.0.1:8788)" },
  timeout: { type: "string", value: "SECONDS", help: "how long to try for an answer (30)" },
  help: { type: "boolean", help: "prints this" },
};

const SERVE_HELP = `usage: holdfast serve
runs the service on workerd, which must be installed beside this package

It takes its settings from the environment: HOST, PORT, STATE_DIR and those of docs/options.md.

example: PORT=9000 STATE_DIR=/var/lib/holdfast holdfast serve`;

const TOKEN_HELP = "makes an API token, and its entry for API_TOKENS";

const OVERVIEW = `usage: holdfast VERB [ARGUMENTS]

${Object.entries(VERBS)
  .map(([name, { summary }]) => `  ${name.padEnd(8)} ${summary}`)
  .join("\n")}
  token    ${TOKEN_HELP}
  serve    runs the service on workerd

holdfast VERB --help shows the arguments of a verb, and an example.

HOLDFAST_URL    where the service is (http://127.0.0.1:8788)
HOLDFAST_TOKEN  the API token or JWT to call it with
${STATUSES_IN_WORDS}`;

/** Runs the command, and sets the status of this process. */
export async function main(args: readonly string[], places: Places): Promise<void> {
  const ended = new AbortController();
  let connection: Connection | undefined;
  // The reader of the output has gone, as `head` does: nothing is to be said about that.
  process.stdout.on("error", ({ code }: NodeJS.ErrnoException) => {
    process.exit(code === "EPIPE" ? STATUS.unread : STATUS.failed);
  });
  try {
    const [name = "", ...rest] = args;
    if (name === "--help" || name === "help") console.log(OVERVIEW);
    else if (name === "--version") console.log(versionOf(places));
    else if (name === "serve") await serve(rest, places);
    else if (name === "token") await token(rest);
    else await call(name, rest);
  } catch (failure) {
    const { line, status } = endOf(failure, connection?.url);
    console.error(`holdfast: ${line}`);
    process.exitCode = status;
  }

  async function call(name: string, rest: readonly string[]): Promise<void> {
    const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
    if (!verb) throw new OptionError(`${unknown(name)}; holdfast --help lists all`);
    const hint = `; holdfast ${name} --help`;
    const { given, positionals } = read(rest, { ...verb.options, ...COMMON }, hint);
    if (given["help"] === true) return console.log(helpOf(name, verb));
    requireArguments(verb, positionals, hint);
    for (const [signal, status] of [
      ["SIGINT", STATUS.interrupted],
      ["SIGTERM", STATUS.terminated],
    ] as const) {
      process.once(signal, () => ended.abort(new CommandFailure(status, `ended by ${signal}`)));
    }
    const isJson = given["json"] === true;
    const output = outputOf(isJson);
    connection = connect({
      env: process.env,
      url: textOf(given, "url"),
      timeout: textOf(given, "timeout"),
      ended: ended.signal,
      onWait: (failure, waitMs) => {
        const why = (failure.status === 0 && reasonOf(failure)) || failure.message;
        output.remark(`trying again in ${Math.ceil(waitMs / 1000)} s: ${why}`);
      },
    });
    await verb.run({ connection, output, isJson, given, positionals });
  }
}

function unknown(name: string): string {
  return name === "" ? "a verb is needed" : `there is no verb "${name}"`;
}

function read(
  args: readonly string[],
  options: Readonly<Record<string, VerbOption>>,
  hint: string,
) {
  try {
    const types = Object.entries(options).map(([name, { type, multiple = false }]) => [
      name,
      { type, multiple },
    ]);
    const { values, positionals } = parseOptions(args, Object.fromEntries(types), true);
    return { given: values as Given, positionals };
  } catch (failure) {
    if (failure instanceof OptionError) throw new OptionError(failure.message + hint);
    throw failure;
  }
}

/** `ID [DATA]` is one or two. */
function requireArguments(verb: Verb, given: readonly string[], hint: string): void {
  const names = verb.arguments.split(" ").filter(Boolean);
  const missing = names.filter((name) => !name.startsWith("["))[given.length];
  if (missing !== undefined) throw new OptionError(`${missing} is missing${hint}`);
  const extra = given[names.length];
  if (extra !== undefined) throw new OptionError(`"${extra}" is one argument too many${hint}`);
}

function helpOf(name: string, verb: Verb): string {
  const options = Object.entries({ ...verb.options, ...COMMON }).map(
    ([option, { value, help }]) =>
      `  ${`--${option}${value === undefined ? "" : ` ${value}`}`.padEnd(26)} ${help}`,
  );
  const usage = ["holdfast", name, verb.arguments, "[OPTIONS]"].filter(Boolean).join(" ");
  return `usage: ${usage}\n${verb.summary}\n\n${options.join("\n")}\n\nexample: ${verb.example}\n${STATUSES_IN_WORDS}`;
}

function versionOf({ package: path }: Places): string {
  return (JSON.parse(readFileSync(path, "utf8")) as { readonly version: string }).version;
}

/** Both are loaded only here: the other verbs need neither. */
async function serve(args: readonly string[], places: Places): Promise<void> {
  const { values } = parseOptions(args, { help: { type: "boolean" } });
  if (values.help === true) return console.log(SERVE_HELP);
  const [{ serve }, { readArtifact }] = await Promise.all([
    import("../serve.ts"),
    import("../artifact.ts"),
  ]);
  await serve(process.env, readArtifact(places.artifact));
}

async function token(args: readonly string[]): Promise<void> {
  const { printToken } = await import("../token.ts");
  await printToken(args, "holdfast token");
}
