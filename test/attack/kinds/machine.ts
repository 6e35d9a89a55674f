/** Attacks by a machine that fails: a disk that is full, an upstream that hangs. */
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { INITIALIZE, toolCall } from "../../support/mcp/client.ts";
import { SseReader } from "../../support/sse-reader.ts";
import { JSON_TYPE, times, type Attack, type Kind } from "../kind.ts";

const DISK_MB = 48;
const EVENT = Buffer.from(JSON.stringify({ data: "x".repeat(60_000) }));

async function make({ serving }: Attack): Promise<string | undefined> {
  const made = await serving.fetch("/v1/sessions", { method: "POST" });
  const { id } = (await made.json()) as { id?: string };
  return id;
}

/** Fills the disk through the API, and empties it through the API. */
async function fillAndEmpty(attack: Attack): Promise<string[]> {
  const { client, tally, serving } = attack;
  const ids: string[] = [];
  for (let refused = 0; refused < 5 && ids.length < 100;) {
    const id = await make(attack);
    if (id === undefined) {
      refused++;
      continue;
    }
    ids.push(id);
    const target = `/v1/sessions/${id}/events`;
    await times(20, 2, async () => {
      const answer = await client.send({ method: "POST", target, headers: JSON_TYPE, body: EVENT });
      tally.add(answer);
      if (typeof answer === "object" && answer.status === 503) refused++;
    });
  }
  const told: string[] = [];
  const readers = await Promise.all(ids.map((id) => ended(serving.url, id, told)));
  const wrong: string[] = [];
  for (const id of ids) {
    const target = `/v1/sessions/${id}`;
    let answer = await client.send({ method: "DELETE", target, headers: {} });
    tally.add(answer);
    for (let n = 0; n < 100 && typeof answer === "object" && answer.status === 503; n++) {
      if (told.includes(id)) wrong.push(`the reader of ${id} was told of an end that failed`);
      await sleep(100);
      answer = await client.send({ method: "DELETE", target, headers: {} });
      tally.add(answer);
    }
    const status = typeof answer === "object" ? answer.status : answer;
    if (status !== 204) wrong.push(`a delete on the full disk answers ${status}`);
  }
  for (const leave of readers) leave();
  return wrong;
}

/** Follows a session, and notes it once its reader was told of its end. */
async function ended(url: string, id: string, told: string[]): Promise<() => void> {
  const leave = new AbortController();
  const headers = { accept: "text/event-stream" };
  const response = await fetch(`${url}/v1/sessions/${id}/events`, {
    headers,
    signal: leave.signal,
  });
  const { body } = response;
  if (!response.ok || !body) {
    await body?.cancel();
    return () => undefined;
  }
  const reader = new SseReader(body);
  const until = reader.until(/^event: deleted$/m).then(() => void told.push(id));
  until.catch(() => undefined);
  return () => leave.abort();
}

/** Serves each way in which a peer can hang: no answer, a head alone, comments for ever, an endless body. */
async function hangingUpstream(): Promise<Server> {
  let asked = 0;
  const server = createServer((request, response) => {
    request.resume();
    const way = asked++ % 4;
    if (way === 0) return;
    const type = way === 3 ? "application/json" : "text/event-stream";
    response.writeHead(200, { "content-type": type });
    response.flushHeaders();
    if (way === 1) return;
    const timer = setInterval(() => response.write(way === 2 ? ": still\n\n" : " "), 50);
    response.on("close", () => clearInterval(timer));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** Milliseconds after which a client gives such a call up. */
const PATIENCE_MS = 3_000;

export async function machineKinds(): Promise<{ kinds: Kind[]; close: () => void }> {
  const upstream = await hangingUpstream();
  const { port } = upstream.address() as AddressInfo;
  const hanging: Kind = {
    name: "hung-upstream",
    title: "200 calls to an upstream that hangs in four ways",
    openFiles: 4096,
    mostMb: 600,
    env: { UPSTREAMS: JSON.stringify({ default: { url: `http://127.0.0.1:${port}/mcp` } }) },
    async attack({ serving, tally }) {
      await times(200, 50, async (n) => {
        const body = JSON.stringify(n % 2 === 0 ? INITIALIZE : toolCall(n, "x"));
        const accept = "application/json, text/event-stream";
        const answer = await serving
          .fetch("/mcp", {
            method: "POST",
            headers: { ...JSON_TYPE, accept },
            body,
            signal: AbortSignal.timeout(PATIENCE_MS),
          })
          .then(
            async ({ status, headers, body: sent }) => {
              await sent?.cancel();
              // A call to an upstream that hangs is answered with 502 or 504, as it should be.
              const own = status === 502 || status === 504 ? 200 : status;
              return { status: own, headers: [...headers.keys()].join("\n"), body: "" };
            },
            () => "given up by its client",
          );
        tally.add(answer);
      });
      return [];
    },
  };
  const fullDisk: Kind = {
    name: "full-disk",
    title: `a disk of ${DISK_MB} MiB, filled and emptied by the API`,
    openFiles: 4096,
    mostMb: 900,
    disk: DISK_MB,
    attack: fillAndEmpty,
  };
  return {
    kinds: [hanging, fullDisk],
    close: () => {
      upstream.closeAllConnections();
      upstream.close();
    },
  };
}
