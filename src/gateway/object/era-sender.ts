/** Sends the gateway's own messages to the server of clients of the stateless revision: answers, notifications, settings. */
import type { Logger } from "../../logger.ts";
import type { ExchangeRequest } from "../contract.ts";
import { messagesIn } from "../json-rpc.ts";
import { reportFailure, UpstreamError } from "../upstream/failure.ts";
import { hearOne } from "../upstream/hear.ts";
import type { UpstreamLink } from "./upstream-link.ts";

type Headers = ExchangeRequest["headers"];

interface SenderParts {
  readonly link: UpstreamLink;
  /** Bytes of one message of the upstream. */
  readonly maxBytes: number;
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

  /** Sends what nobody waits for. */
  post(body: string, headers: Headers): void {
    const { link, log } = this.#parts;
    this.deliver(body, headers).catch((cause: unknown) => {
      if (cause instanceof UpstreamError) reportFailure(log, link.upstream, cause);
    });
  }

  /** Sends what has no answer. Throws UpstreamError where it was not taken. */
  async deliver(body: string, headers: Headers): Promise<void> {
    const answer = await this.#parts.link.post({ body, pending: [], headers });
    if (answer.kind === "failed")
      throw new UpstreamError(answer.failure, { status: answer.status });
  }
}
