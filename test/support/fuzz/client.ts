/** Sends the fuzzer's requests over connections that are kept. */
import { Agent, request } from "node:http";
import { connect } from "node:net";
import type { FuzzRequest } from "./requests.ts";

export interface FuzzAnswer {
  readonly status: number;
  readonly headers: string;
  /** All of it; the first chunk of a stream. */
  readonly body: string;
}

export type SentRequest = Omit<FuzzRequest, "authenticated">;

/** Milliseconds for an answer: far above what any takes, on a machine that does much else. */
const HANG_MS = 15_000;

export class FuzzClient {
  readonly #agent = new Agent({ keepAlive: true });
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  /** The answer, or a text that says why there is none. */
  send({ method, target, headers, body }: SentRequest): Promise<FuzzAnswer | string> {
    return new Promise((resolve) => {
      const sent = request({
        agent: this.#agent,
        host: "127.0.0.1",
        port: this.#port,
        method,
        path: target,
        headers: { ...headers, ...(body && { "content-length": body.length }) },
      });
      const timer = setTimeout(() => end("hang"), HANG_MS);
      const end = (result: FuzzAnswer | string) => {
        clearTimeout(timer);
        resolve(result);
        if (result === "hang") sent.destroy();
      };
      sent.on("error", (failure: NodeJS.ErrnoException) => end(failure.code ?? failure.message));
      sent.on("upgrade", (_answer, socket) => {
        socket.destroy();
        end("upgraded");
      });
      sent.on("response", (answer) => {
        const chunks: Buffer[] = [];
        const done = () =>
          end({
            status: answer.statusCode ?? 0,
            headers: answer.rawHeaders.join("\n"),
            body: Buffer.concat(chunks).toString("utf8"),
          });
        const streams = answer.headers["content-type"]?.startsWith("text/event-stream");
        answer.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          if (!streams) return;
          done();
          answer.destroy();
        });
        answer.on("end", done);
        answer.on("error", (failure) => end(failure.message));
      });
      sent.end(body);
    });
  }

  /** Sends bytes over a connection of their own, and waits until the service has answered or closed it. */
  noise(bytes: Buffer): Promise<string> {
    return new Promise((resolve) => {
      let text = "";
      const socket = connect(this.#port, "127.0.0.1", () => socket.end(bytes));
      const timer = setTimeout(() => socket.destroy(), HANG_MS);
      socket.on("data", (data: Buffer) => (text += data.toString("latin1")));
      socket.on("error", () => {});
      socket.on("close", () => {
        clearTimeout(timer);
        resolve(text);
      });
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
