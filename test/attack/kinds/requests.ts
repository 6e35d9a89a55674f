/** Attacks by requests: unknown ids, many sessions, large and strange bodies, long echoes. */
import { INITIALIZE } from "../../support/mcp/client.ts";
import type { SentRequest } from "../../support/fuzz/client.ts";
import { JSON_TYPE, times, type Attack, type Kind } from "../kind.ts";

const MCP = { ...JSON_TYPE, accept: "application/json, text/event-stream" };

/** Where an attacker posts JSON, with the headers of each. */
const POSTS: readonly (readonly [target: string, headers: Readonly<Record<string, string>>])[] = [
  ["/v1/sessions", JSON_TYPE],
  [`/v1/sessions/${crypto.randomUUID()}/events`, JSON_TYPE],
  ["/mcp", MCP],
];

/** Posts bodies, to each place in turn. */
async function flood(
  { client, tally }: Attack,
  count: number,
  together: number,
  bodies: readonly Buffer[],
): Promise<void> {
  await times(count, together, async (n) => {
    const [target, headers] = POSTS[n % POSTS.length] ?? ["/", {}];
    const body = bodies[Math.floor(n / POSTS.length) % bodies.length] ?? Buffer.alloc(0);
    tally.add(await client.send({ method: "POST", target, headers, body }));
  });
}

/** 3.9 MB with 1.3 million values. */
const manyValues = () => Buffer.from(`{"data":[${"1,".repeat(1_900_000)}1]}`);
const manyObjects = () => Buffer.from(`{"data":[${"{},".repeat(1_300_000)}{}]}`);
const deep = () => Buffer.from(`{"data":${"[".repeat(1_900_000)}${"]".repeat(1_900_000)}}`);

const batchOf = (length: number) =>
  JSON.stringify(Array.from({ length }, (_, id) => ({ jsonrpc: "2.0", id, method: "ping" })));

/** Files of ended sessions that may be left: the directory has not heard of the last ones yet. */
const MOST_LEFT = 100;

/** Bytes of an answer that may quote 200 characters of 3 bytes, and its own words. */
const MOST_ANSWER = 2_000;

export const requestKinds: readonly Kind[] = [
  {
    name: "unknown-ids",
    title: "3,000 unknown ids, 512 open files",
    openFiles: 512,
    mostMb: 600,
    async attack({ client, serving, tally }) {
      const before = serving.storedFiles;
      await times(3_000, 32, async () => {
        const target = `/v1/sessions/${crypto.randomUUID()}`;
        tally.add(await client.send({ method: "GET", target, headers: {} }));
      });
      const left = serving.storedFiles - before;
      return left > 10 ? [`${left} files are left`] : [];
    },
  },
  {
    name: "creates",
    title: "1,500 sessions at once, 512 open files",
    openFiles: 512,
    mostMb: 600,
    async attack({ client, tally }) {
      const made: string[] = [];
      await times(1_500, 48, async () => {
        const answer = await client.send({ method: "POST", target: "/v1/sessions", headers: {} });
        tally.add(answer);
        if (typeof answer === "object" && answer.status === 201) {
          made.push((JSON.parse(answer.body) as { id: string }).id);
        }
      });
      const lost: string[] = [];
      for (const id of made.slice(0, 50)) {
        const found = await untilServed(client, `/v1/sessions/${id}`);
        if (found !== 200) lost.push(`a session that was made answers ${found}`);
      }
      return lost;
    },
  },
  {
    name: "made-and-ended",
    title: "1,000 sessions made and ended",
    openFiles: 4096,
    mostMb: 900,
    async attack({ client, tally, serving }) {
      await times(1_000, 16, async () => {
        const made = await client.send({ method: "POST", target: "/v1/sessions", headers: {} });
        tally.add(made);
        if (typeof made !== "object" || made.status !== 201) return;
        const { id } = JSON.parse(made.body) as { id: string };
        const target = `/v1/sessions/${id}`;
        tally.add(await client.send({ method: "DELETE", target, headers: {} }));
      });
      // A start removes for two seconds what ended sessions left.
      for (let starts = 0; starts < 4 && serving.storedFiles > MOST_LEFT; starts++) {
        await serving.stop();
        await serving.start();
      }
      const left = serving.storedFiles;
      return left > MOST_LEFT ? [`${left} files are left`] : [];
    },
  },
  {
    name: "batches",
    title: "20 batches of 90,000 pings",
    openFiles: 4096,
    mostMb: 700,
    async attack({ client, tally }) {
      const body = Buffer.from(
        JSON.stringify({
          ...INITIALIZE,
          params: { ...INITIALIZE.params, protocolVersion: "2025-03-26" },
        }),
      );
      const opened = await client.send({ method: "POST", target: "/mcp", headers: MCP, body });
      const id = typeof opened === "object" && /^mcp-session-id\n(.*)$/im.exec(opened.headers)?.[1];
      if (!id) return [`initialize was answered ${JSON.stringify(opened).slice(0, 200)}`];
      const headers = { ...MCP, "mcp-session-id": id, "mcp-protocol-version": "2025-03-26" };
      const batch = Buffer.from(batchOf(90_000));
      await times(20, 4, async () => {
        tally.add(await client.send({ method: "POST", target: "/mcp", headers, body: batch }));
      });
      return [];
    },
  },
  {
    name: "values",
    title: "120 bodies of 3.9 MB with over a million values, 40 at a time",
    openFiles: 4096,
    mostMb: 900,
    async attack(attack) {
      await flood(attack, 120, 40, [manyValues(), manyObjects()]);
      return [];
    },
  },
  {
    name: "deep",
    title: "60 bodies of 3.8 MB, nested 1.9 million deep, 20 at a time",
    openFiles: 4096,
    mostMb: 900,
    async attack(attack) {
      await flood(attack, 60, 20, [deep()]);
      return [];
    },
  },
  {
    name: "echoes",
    title: "40 requests that an error could quote, 3 MB each",
    openFiles: 4096,
    mostMb: 900,
    async attack({ client, tally }) {
      const long = "k".repeat(3_000_000);
      const bodies: readonly (readonly [target: string, body: unknown])[] = [
        ["/v1/sessions", { [long]: 1 }],
        ["/v1/sessions", { metadata: { [long]: 1 } }],
        ["/v1/sessions", { type: long }],
        ["/v1/sessions", { id: long }],
        ["/mcp", { jsonrpc: "2.0", id: long, method: "nope" }],
        ["/mcp", { jsonrpc: "2.0", id: 1, method: long }],
        ["/mcp", { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: long } }],
        ["/mcp", { jsonrpc: "2.0", id: 1, method: "initialize", params: { [long]: long } }],
      ];
      const requests: SentRequest[] = [
        ...bodies.map(([target, body]) => ({
          method: "POST",
          target,
          headers: MCP,
          body: Buffer.from(JSON.stringify(body)),
        })),
        { method: "GET", target: `/v1/sessions/${"k".repeat(7000)}`, headers: {} },
        { method: "GET", target: `/v1/sessions?cursor=${"k".repeat(7000)}`, headers: {} },
      ];
      for (let round = 0; round < 4; round++) {
        for (const request of requests) tally.add(await client.send(request));
      }
      return tally.longest > MOST_ANSWER ? [`an answer has ${tally.longest} bytes`] : [];
    },
  },
];

/** The status, once the service has room for the request. */
async function untilServed(client: Attack["client"], target: string): Promise<number | string> {
  for (let tries = 0; ; tries++) {
    const answer = await client.send({ method: "GET", target, headers: {} });
    if (typeof answer === "string") return answer;
    if (answer.status !== 503 || tries === 300) return answer.status;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
