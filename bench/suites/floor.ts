/** Holdfast against the least that this runtime could do for the same job. */
import {
  alternate,
  delivery,
  requests,
  type Contender,
  type Effort,
  type Summary,
} from "../measure.ts";
import type { Report, Row } from "../report.ts";
import { makeSession, startFloor, startHoldfast, type Server } from "../servers.ts";

const DEFAULT: Effort = { rounds: 5, seconds: 1.2 };
const CONNECTIONS = 16;
const OBJECTS = 50;

export async function floor({ rounds, seconds }: Effort = DEFAULT): Promise<Report> {
  const [holdfast, base] = [await startHoldfast(), await startFloor()];
  const publishing = (publishers: number, follow: string, publish: string) =>
    deliveries(holdfast, base, { publishers, follow, publish, seconds });
  try {
    const reading = await reads(holdfast, base, seconds);
    const publish = publishing(CONNECTIONS, "follow", "publish");
    const emit = publishing(1, "stream", "emit");
    const stored = publishing(1, "follow", "publish");
    const rows = [
      ...(await compare("read", 0.85, reading, rounds)),
      ...(await compare("create", 0.7, creates(holdfast, base, seconds), rounds)),
      ...(await compare("publish to one subscriber", 0.8, publish, rounds)),
      ...(await compare("delivery, one at a time", undefined, emit, rounds)),
      ...(await compare("the same, stored by the floor too", undefined, stored, rounds)),
    ];
    return {
      suite: "floor",
      title: "Against the floor",
      rows,
      notes: [
        `Each pair alternates for ${rounds} rounds of ${seconds} s after a warm-up; medians of rounds; ratio is Holdfast ÷ floor.`,
        `Floors: a Hono route and a no-op call to one of ${OBJECTS} objects; a new object's first row and alarm; one row and one hibernatable socket, bridged; a stream straight from an object that stores nothing.`,
        "Delivery one at a time compares latency from the start of a publish to its receipt: the floor writes nothing to disk and Holdfast's event is durable before it is sent. In the last pair the floor stores its event, and sends it by a hibernatable socket.",
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
  rounds: number,
): Promise<Row[]> {
  process.stderr.write(`${job}\n`);
  const summaries = await alternate(contenders, rounds);
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

async function reads(holdfast: Server, base: Server, seconds: number): Promise<Contender[]> {
  const ids = await Promise.all(Array.from({ length: OBJECTS }, () => makeSession(holdfast)));
  const contender = (name: string, { url }: Server, folder: string): Contender => {
    const paths = ids.map((id) => `${folder}/${id}`);
    const plan = { url, method: "GET", paths, connections: CONNECTIONS, seconds };
    return { name, run: () => requests(plan) };
  };
  return [contender("holdfast", holdfast, "/v1/sessions"), contender("floor", base, "/read")];
}

function creates(holdfast: Server, base: Server, seconds: number): Contender[] {
  const contender = (name: string, { url }: Server, path: string): Contender => {
    const load = { connections: CONNECTIONS, seconds, body: "{}" };
    return { name, run: () => requests({ url, method: "POST", paths: [path], ...load }) };
  };
  return [contender("holdfast", holdfast, "/v1/sessions"), contender("floor", base, "/create")];
}

interface Delivering {
  readonly publishers: number;
  /** The floor's routes. */
  readonly follow: string;
  readonly publish: string;
  readonly seconds: number;
}

/** One subscriber; each run has an object of its own. */
function deliveries(
  holdfast: Server,
  base: Server,
  { publishers, follow, publish, seconds }: Delivering,
): Contender[] {
  const plan = { body: '{"data":"$"}', subscribers: 1, publishers, seconds, padding: 100 };
  return [
    {
      name: "holdfast",
      async run() {
        const path = `/v1/sessions/${await makeSession(holdfast)}/events`;
        return delivery({ ...plan, url: holdfast.url, followPath: path, publishPath: path });
      },
    },
    {
      name: "floor",
      run() {
        const id = crypto.randomUUID();
        const paths = { followPath: `/${follow}/${id}`, publishPath: `/${publish}/${id}` };
        return delivery({ ...plan, url: base.url, ...paths });
      },
    },
  ];
}
