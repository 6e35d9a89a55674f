/**
 * A client that reads a stream as `@microsoft/fetch-event-source` 2.0.1 does. It takes an id as
 * soon as its line has come, even if the frame is cut after it. It hands on a message at each blank
 * line, even one without data.
 */
export class EagerClient {
  readonly #url: string;
  #lastEventId: string | undefined;
  /** The data of every message that it handed on, with the empty ones. */
  readonly messages: string[] = [];
  connections = 0;

  constructor(url: string) {
    this.#url = url;
  }

  get data(): readonly string[] {
    return this.messages.filter((data) => data !== "");
  }

  /** Follows over as many connections as it takes, until a message with this data has come. */
  async until(last: string): Promise<void> {
    while (this.messages.at(-1) !== last) await this.#connection(last).catch(() => {});
  }

  async #connection(last: string): Promise<void> {
    this.connections++;
    const leave = new AbortController();
    const { body } = await fetch(this.#url, {
      signal: leave.signal,
      headers: {
        accept: "text/event-stream",
        connection: "close",
        ...(this.#lastEventId !== undefined && { "last-event-id": this.#lastEventId }),
      },
    });
    if (!body) throw new Error("a stream has a body");
    let line = "";
    let data = "";
    for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
      const lines = (line + chunk).split("\n");
      line = lines.pop() ?? "";
      for (const each of lines) {
        if (each.startsWith("id: ")) this.#lastEventId = each.slice("id: ".length);
        if (each.startsWith("data: ")) data += each.slice("data: ".length);
        if (each !== "") continue;
        this.messages.push(data);
        data = "";
        if (this.messages.at(-1) === last) return leave.abort();
      }
    }
  }
}
