/** Streams of events, and the numbers that their events carry. */
import { get, type IncomingHttpHeaders, type IncomingMessage } from "node:http";

/** Opens a stream on a connection of its own. Rejects if the answer is not 200. */
export function openStream(
  url: string,
  headers: IncomingHttpHeaders = {},
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asking = { agent: false, headers: { ...headers, accept: "text/event-stream" } };
    get(url, asking, (incoming) => {
      const { statusCode } = incoming;
      if (statusCode !== 200) return reject(new Error(`following answered ${statusCode}`));
      resolve(incoming.on("error", () => {}));
    }).on("error", reject);
  });
}

/** Each event's text begins with it. No id or name of an event holds it. */
const MARK = "#";

/** Calls `received` with each event's number and time of arrival, and `looked` after each chunk. */
export function readNumbers(
  stream: IncomingMessage,
  received: (number: number, at: number) => void,
  looked: () => void = () => {},
): void {
  let rest = "";
  stream.setEncoding("utf8").on("data", (chunk: string) => {
    rest += chunk;
    const now = performance.now();
    let from = 0;
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n", from)) {
      const data = rest.indexOf(MARK, from);
      if (data >= 0 && data < end) {
        received(Number.parseInt(rest.slice(data + MARK.length, data + 20), 10), now);
      }
      from = end + 2;
    }
    rest = rest.slice(from);
    looked();
  });
}
