/** Holdfast against the least that this runtime could do for the same job. */
import { compare, compareAll, OURS, p50, rate, type Measure } from "../compare.ts";
import { delivery, requests } from "../load-client.ts";
import type { Contender, Effort } from "../measure.ts";
import type { Report } from "../report.ts";
import { makeSession, startFloor, startHoldfast, type Server, withServers } from "../servers.ts";

const DEFAULT: Effort = { rounds: 4, seconds: 0.8 };
const FLOOR = "floor";
const CONNECTIONS = 16;
const OBJECTS = 50;

export function floor(given: Partial<Effort>): Promise<Report> {
  const effort = { ...DEFAULT, ...given };
  return withServers(async (start) =>
    against(await start(startHoldfast()), await start(startFloor()), effort),
  );
}

async function against(holdfast: Server, base: Server, effort: Effort): Promise<Report> {
  const publishing = (publishers: number, follow: string, publish: string) =>
    deliveries(holdfast, base, { publishers, follow, publish });
  const job =
    (name: string, measures: readonly Measure[], contenders: readonly Contender[]) => () =>
      compare({ job: name, measures }, contenders, effort);
  // p50 is the target where one thing is done at a time; where sixteen are, it says once more what the rate says.
  const latency = p50(["≤", 1.15]);
  const reading = await reads(holdfast, base);
  const creating = creates(holdfast, base);
  const compared = await compareAll([
    job("read", [rate(["≥", 0.85])], reading(CONNECTIONS)),
    job("read, one at a time", [latency], reading(1)),
    job("create", [rate(["≥", 0.7])], creating(CONNECTIONS)),
    job("create, one at a time", [latency], creating(1)),
    job(
      "publish to one subscriber",
      [rate(["≥", 0.8])],
      publishing(CONNECTIONS, "follow", "publish"),
    ),
    job(
      "delivery, one at a time, against a stream that stores nothing",
      [latency],
      publishing(1, "stream", "emit"),
    ),
    job(
      "delivery, one at a time, against one that stores",
      [latency],
      publishing(1, "follow", "publish"),
    ),
  ]);
  return {
    suite: "floor",
    title: "Against the floor",
    ...compared,
    notes: [
      `Each pair alternates for ${effort.rounds} rounds of ${effort.seconds} s after a warm-up; ${CONNECTIONS} connections where it does not say "one at a time".`,
      `Floors: a Hono route and a no-op call to one of ${OBJECTS} objects; a new object's first row and alarm; one row and one hibernatable socket, bridged; a stream straight from an object that stores nothing.`,
      "Latency of delivery is from the start of a publish to its receipt. Holdfast's event is durable before it is sent; the stream straight from the object is not, and no flush to a disk fits into its time.",
    ],
  };
}

/** A load of so many connections. */
type Load = (connections: number) => Contender[];

async function reads(holdfast: Server, base: Server): Promise<Load> {
  const ids = await Promise.all(Array.from({ length: OBJECTS }, () => makeSession(holdfast)));
  const paths = (folder: string) => ids.map((id) => `${folder}/${id}`);
  return loads({ method: "GET" }, [holdfast, paths("/v1/sessions")], [base, paths("/read")]);
}

function creates(holdfast: Server, base: Server): Load {
  const load = { method: "POST", body: "{}" };
  return loads(load, [holdfast, ["/v1/sessions"]], [base, ["/create"]]);
}

type Place = readonly [server: Server, paths: readonly string[]];

function loads(load: { method: string; body?: string }, ours: Place, floors: Place): Load {
  return (connections) =>
    [ours, floors].map(([{ url, pid }, paths], n) => ({
      name: n === 0 ? OURS : FLOOR,
      pid,
      run: (seconds) => requests({ ...load, url, paths, connections, seconds }),
    }));
}

interface Delivering {
  readonly publishers: number;
  /** The floor's routes. */
  readonly follow: string;
  readonly publish: string;
}

/** One subscriber; each run has an object of its own. */
function deliveries(
  holdfast: Server,
  base: Server,
  { publishers, follow, publish }: Delivering,
): Contender[] {
  const plan = { body: '{"data":"$"}', subscribers: 1, publishers, padding: 100 };
  return [
    {
      name: OURS,
      pid: holdfast.pid,
      async run(seconds) {
        const path = `/v1/sessions/${await makeSession(holdfast)}/events`;
        const paths = { followPath: path, publishPath: path };
        return delivery({ ...plan, url: holdfast.url, ...paths, seconds });
      },
    },
    {
      name: FLOOR,
      pid: base.pid,
      run(seconds) {
        const id = crypto.randomUUID();
        const paths = { followPath: `/${follow}/${id}`, publishPath: `/${publish}/${id}` };
        return delivery({ ...plan, url: base.url, ...paths, seconds });
      },
    },
  ];
}
