/** Attacks by connections: idle ones, half requests, streams, readers that take nothing. */
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { JSON_TYPE, times, type Attack, type Kind } from "../kind.ts";

const HOLD_MS = 5_000;

/** Opens connections that each send these bytes, and holds them for a while. */
async function hold(port: number, count: number, bytes: (n: number) => string): Promise<void> {
  const sockets: Socket[] = Array.from({ length: count }, (_, n) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes(n)));
    socket.on("error", () => {});
    return socket;
  });
  await sleep(HOLD_MS);
  for (const socket of sockets) socket.destroy();
}

const holding =
  (count: number, bytes: (n: number) => string) =>
  async ({ serving, tally }: Attack) => {
    await hold(serving.port, count, bytes);
    tally.attempts += count;
    return [];
  };

async function makeSession({ serving }: Attack): Promise<string> {
  const made = await serving.fetch("/v1/sessions", { method: "POST" });
  return ((await made.json()) as { id: string }).id;
}

const headOf = (path: string, length: number) =>
  `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;

/** Readers of one session, as MAX_WRITERS allows. */
const READERS = 50;
const EVENT_BYTES = 60_000;

export const connectionKinds: readonly Kind[] = [
  {
    name: "idle",
    title: "400 idle connections, 512 open files",
    openFiles: 512,
    mostMb: 600,
    // A connection takes two files, by `accept` and by `dup`. A connection that finds none ends workerd. It
    // refuses one that finds a single file, and goes on. Which of them comes depends on whether the files
    // that were open before are an odd number or an even one.
    mayEnd: true,
    attack: holding(400, () => ""),
  },
  {
    name: "half-heads",
    title: "400 connections that send half a head",
    openFiles: 4096,
    mostMb: 600,
    attack: holding(400, () => "POST /v1/sessions HTTP/1.1\r\nhost: loc"),
  },
  {
    name: "half-bodies",
    title: "400 connections that announce 4 MB and send one byte",
    openFiles: 4096,
    mostMb: 600,
    attack: holding(400, (n) => `${headOf(n % 2 === 0 ? "/v1/sessions" : "/mcp", 4_000_000)}{`),
  },
  {
    name: "streams",
    title: "300 streams, left at once, 512 open files",
    openFiles: 512,
    mostMb: 600,
    // Where some 140 streams are left at once, workerd opens 40 files more for a moment (measured). A
    // connection that comes then may find none, or a single one, as with idle connections.
    mayEnd: true,
    async attack(attack) {
      const ids = await Promise.all(Array.from({ length: 6 }, () => makeSession(attack)));
      const streams: AbortController[] = [];
      await times(300, 8, async (n) => {
        const target = `/v1/sessions/${ids[n % ids.length]}/events`;
        const leave = new AbortController();
        const headers = { accept: "text/event-stream" };
        const asked = attack.serving.fetch(target, { headers, signal: leave.signal });
        const answer = await asked.then(
          async (response) => {
            const { ok, status, headers: sent } = response;
            // The connection of a refusal that is not read would be held as an idle one.
            if (!ok) await response.text();
            return { status, headers: [...sent.keys()].join("\n"), body: "" };
          },
          () => "closed",
        );
        attack.tally.add(answer);
        streams.push(leave);
      });
      await sleep(HOLD_MS);
      for (const leave of streams) leave.abort();
      return [];
    },
  },
  {
    name: "slow-readers",
    title: `${READERS} readers that take nothing of 12 MB`,
    openFiles: 4096,
    mostMb: 900,
    async attack(attack) {
      const id = await makeSession(attack);
      const path = `/v1/sessions/${id}/events`;
      const head = `GET ${path}?from=earliest HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n`;
      const sockets = Array.from({ length: READERS }, () => {
        const socket = connect(attack.serving.port, "127.0.0.1", () => socket.write(head));
        socket.on("error", () => {});
        socket.pause();
        return socket;
      });
      const body = Buffer.from(JSON.stringify({ data: "x".repeat(EVENT_BYTES) }));
      await times(200, 4, async () => {
        attack.tally.add(
          await attack.client.send({ method: "POST", target: path, headers: JSON_TYPE, body }),
        );
      });
      await sleep(HOLD_MS);
      for (const socket of sockets) socket.destroy();
      return [];
    },
  },
];
