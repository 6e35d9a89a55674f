/**
 * What the directory adds to a create: the same bundle with its directory and
 * without one (`DIRECTORY_SHARDS=0`), in turns.
 */
import { alternate, requests, type Contender, type Effort, type Summary } from "../measure.ts";
import type { Report, Row } from "../report.ts";
import { startHoldfast, type Server } from "../servers.ts";

const DEFAULT: Effort = { rounds: 5, seconds: 0.7 };
/** Milliseconds between creates, so that what one delivers in the background is over before the next. */
const PAUSE_MS = 30;
const CONNECTIONS = 16;

export async function directory({ rounds, seconds }: Effort = DEFAULT): Promise<Report> {
  const servers = [
    ["with", await startHoldfast({ DIRECTORY_SHARDS: "8" })],
    ["without", await startHoldfast({ DIRECTORY_SHARDS: "0" })],
  ] as const;
  try {
    const contenders = (load: { connections: number; pauseMs?: number }) =>
      servers.map(([name, { url }]): Contender => {
        const plan = { url, method: "POST", paths: ["/v1/sessions"], body: '{"subject":"s-$n"}' };
        return { name, run: () => requests({ ...plan, seconds, ...load }) };
      });
    const paced = contenders({ connections: 1, pauseMs: PAUSE_MS });
    const single = contenders({ connections: 1 });
    const busy = contenders({ connections: CONNECTIONS });
    const rows = [
      ...(await compare(`one create every ${PAUSE_MS} ms`, paced, rounds)),
      ...(await compare("one create after another", single, rounds)),
      ...(await compare(`${CONNECTIONS} creates under way`, busy, rounds)),
    ];
    return {
      suite: "directory",
      title: "What the directory adds to a create",
      rows,
      notes: [
        `Each pair alternates for ${rounds} rounds of ${seconds} s after a warm-up; medians of rounds; ratios are with ÷ without. Target: p50 of a create, which delivery must not hold up, at most 1.15.`,
        "The first job shows what a caller waits for. The others show all the work, delivery too, on the one thread that plain workerd has; on the platform objects do not share one.",
      ],
    };
  } finally {
    await Promise.all(servers.map(([, server]: readonly [string, Server]) => server.stop()));
  }
}

async function compare(
  job: string,
  contenders: readonly Contender[],
  rounds: number,
): Promise<Row[]> {
  process.stderr.write(`${job}\n`);
  const summaries = await alternate(contenders, rounds);
  const [with_, without] = summaries as [Summary, Summary];
  return summaries.map(({ name, ...summary }) => ({
    job,
    directory: name,
    ...summary,
    ...(name === "with" && {
      "p50 ratio": with_.p50 / without.p50,
      "throughput ratio": with_.perSecond / without.perSecond,
    }),
  }));
}
