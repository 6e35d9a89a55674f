/** Holdfast against the least that this runtime could do for the same job. */
import { alternate, delivery, requests, type Contender, type Summary } from "../measure.ts";
import type { Report, Row } from "../report.ts";
import { makeSession, startFloor, startHoldfast, type Server } from "../servers.ts";

const ROUNDS = 5;
const SECONDS = 3;
const CONNECTIONS = 16;
const OBJECTS = 50;

export async function floor(): Promise<Report> {
  const [holdfast, base] = [await startHoldfast(), await startFloor()];
  try {
    const rows = [
      ...(await compare("read", 0.85, await reads(holdfast, base))),
      ...(await compare("create", 0.7, creates(holdfast, base))),
      ...(await compare("publish to one subscriber", 0.8, await publishes(holdfast, base, 16))),
      ...(await compare("delivery, one at a time", undefined, await latencies(holdfast, base))),
    ];
    return {
      suite: "floor",
      title: "Against the floor",
      rows,
      notes: [
        `Each pair alternates for ${ROUNDS} rounds of ${SECONDS} s after a warm-up; medians of rounds; ratio is Holdfast ÷ floor.`,
        "Floors: a Hono route and a no-op call to one of 50 objects; a new object's first row and alarm; one row and one hibernatable socket, bridged; a stream straight from an object that stores nothing.",
        "The last pair compares latency from the start of a publish to its receipt: the floor writes nothing to disk and Holdfast's event is durable before it is sent.",
      ],
    };
  } finally {
    await Promise.all([holdfast.stop(), base.stop()]);
  }
}

async function compare(
  job: string,
  target: number | undefined,
  contenders: readonly Contender[],
): Promise<Row[]> {
  process.stderr.write(`${job}\n`);
  const summaries = await alternate(contenders, ROUNDS);
  const [ours, floors] = summaries as [Summary, Summary];
  return summaries.map(({ name, ...summary }) => ({
    job,
    server: name,
    ...summary,
    ...(name === "holdfast" && {
      ratio: ours.perSecond / floors.perSecond,
      "added p50": ours.p50 / floors.p50 - 1,
      target: target ?? "p50 under +15 %",
    }),
  }));
}

async function reads(holdfast: Server, base: Server): Promise<Contender[]> {
  const ids = await Promise.all(Array.from({ length: OBJECTS }, () => makeSession(holdfast)));
  const plan = { method: "GET", connections: CONNECTIONS, seconds: SECONDS };
  return [
    {
      name: "holdfast",
      run: () =>
        requests({ ...plan, url: holdfast.url, paths: ids.map((id) => `/v1/sessions/${id}`) }),
    },
    {
      name: "floor",
      run: () => requests({ ...plan, url: base.url, paths: ids.map((id) => `/read/${id}`) }),
    },
  ];
}

function creates(holdfast: Server, base: Server): Contender[] {
  const plan = { method: "POST", connections: CONNECTIONS, seconds: SECONDS, body: "{}" };
  return [
    {
      name: "holdfast",
      run: () => requests({ ...plan, url: holdfast.url, paths: ["/v1/sessions"] }),
    },
    { name: "floor", run: () => requests({ ...plan, url: base.url, paths: ["/create"] }) },
  ];
}

async function publishes(holdfast: Server, base: Server, publishers: number): Promise<Contender[]> {
  const plan = { body: '{"data":"$"}', subscribers: 1, publishers, seconds: SECONDS, padding: 100 };
  return [
    {
      name: "holdfast",
      run: async () => {
        const path = `/v1/sessions/${await makeSession(holdfast)}/events`;
        return delivery({ ...plan, url: holdfast.url, followPath: path, publishPath: path });
      },
    },
    {
      name: "floor",
      run: () => {
        const id = crypto.randomUUID();
        return delivery({
          ...plan,
          url: base.url,
          followPath: `/follow/${id}`,
          publishPath: `/publish/${id}`,
        });
      },
    },
  ];
}

async function latencies(holdfast: Server, base: Server): Promise<Contender[]> {
  const plan = {
    body: '{"data":"$"}',
    subscribers: 1,
    publishers: 1,
    seconds: SECONDS,
    padding: 100,
  };
  return [
    {
      name: "holdfast",
      run: async () => {
        const path = `/v1/sessions/${await makeSession(holdfast)}/events`;
        return delivery({ ...plan, url: holdfast.url, followPath: path, publishPath: path });
      },
    },
    {
      name: "floor",
      run: () => {
        const id = crypto.randomUUID();
        return delivery({
          ...plan,
          url: base.url,
          followPath: `/stream/${id}`,
          publishPath: `/emit/${id}`,
        });
      },
    },
  ];
}
