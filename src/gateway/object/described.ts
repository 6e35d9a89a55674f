/** Keeps how a server with sessions describes itself, for the clients of the stateless revision: they ask at any time. */
import { memberText } from "../../wire/json-text.ts";

type Keys = DurableObjectStorage["kv"];

/** Key of the upstream's result of initialize. */
const SERVER = "era-server";

/** Keeps what the server has said now. `messages` are those of the upstream, its answer to initialize the last one. */
export function describe(kv: Keys, messages: readonly string[]): void {
  const result = memberText(messages.at(-1) ?? "", "result");
  if (result !== undefined && result !== kv.get(SERVER)) kv.put(SERVER, result);
}

/** The server's result of initialize, as JSON. */
export function described(kv: Keys): string {
  return kv.get<string>(SERVER) ?? "{}";
}
