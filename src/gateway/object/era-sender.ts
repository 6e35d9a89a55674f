/** Sends the gateway's own messages to the server of clients of the stateless revision: answers, notifications, settings. */
import type { Logger } from "../../logger.ts";
import type { ExchangeRequest } from "../contract.ts";
import { messagesIn } from "../json-rpc.ts";
import { reportFailure, UpstreamError } from "../upstream/failure.ts";
import { hearOne } from "../upstream/hear.ts";
import { isObject, parseJson } from "../../wire/json.ts";
import type { UpstreamLink } from "./upstream-link.ts";
import type { UpstreamState } from "./upstream-state.ts";

type Headers = ExchangeRequest["headers"];

interface SenderParts {
  readonly link: UpstreamLink;
  /** Bytes of one message of the upstream. */
  readonly maxBytes: number;
  /** The server's description of itself, as JSON. */
  readonly server: () => string;
  readonly level: () => UpstreamState;
  readonly log: Logger;
}

export class EraSender {
  readonly #parts: SenderParts;

  constructor(parts: SenderParts) {
    this.#parts = parts;
  }

  /** Sends a request whose answer says no more than whether it was taken. Never rejects. */
  async tell(method: string, params: object, headers: Headers): Promise<boolean> {
    const { link, log, maxBytes } = this.#parts;
    const id = JSON.stringify(`holdfast-${crypto.randomUUID()}`);
    const said = JSON.stringify(params);
    const body = `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${said}}`;
    try {
      const answer = await link.post({ body, pending: [id], headers });
      if (answer.kind === "accepted") return false;
      if (answer.kind === "failed")
        throw new UpstreamError(answer.failure, { status: answer.status });
      const reply = answer.kind === "stream" ? answer.reply : undefined;
      const heard = reply ? ((await hearOne(reply, id, maxBytes)).text ?? "") : "";
      const messages = answer.kind === "answer" ? answer.messages : messagesIn(heard);
      return messages.some(({ message }) => message.kind === "response" && !message.error);
    } catch (cause) {
      if (cause instanceof UpstreamError) reportFailure(log, link.upstream, cause);
      return false;
    }
  }

  /** The level to set before a call, if it asks for one that the server can set and has not. */
  levelToSet(level: string | undefined): string | undefined {
    if (level === undefined || this.#parts.level().level === level) return undefined;
    const server = parseJson(this.#parts.server());
    const offered = isObject(server) ? server["capabilities"] : undefined;
    return isObject(offered) && offered["logging"] !== undefined ? level : undefined;
  }

  /** Calls that come together may each ask for a level: they share the last one, and filter what they get. */
  async setLevel(level: string, headers: Headers): Promise<void> {
    if (await this.tell("logging/setLevel", { level }, headers)) {
      this.#parts.level().apply({ kind: "level", level });
    }
  }

  /** Sends a message, and waits for no answer. */
  post(body: string, headers: Headers): void {
    const { link, log } = this.#parts;
    this.deliver(body, headers).catch((cause: unknown) => {
      if (cause instanceof UpstreamError) reportFailure(log, link.upstream, cause);
    });
  }

  /** Sends a message that has no response. Throws UpstreamError if the upstream did not take it. */
  async deliver(body: string, headers: Headers): Promise<void> {
    const answer = await this.#parts.link.post({ body, pending: [], headers });
    if (answer.kind === "failed")
      throw new UpstreamError(answer.failure, { status: answer.status });
  }
}
