/** The same calls to a session that retains few events and to one that retains many. */
import { compare, compareAll, p50, rate, type Compared, type Measure } from "../../compare.ts";
import { requests, resumptions } from "../../load-client.ts";
import type { Contender, Effort, Run } from "../../measure.ts";
import { makeSession, publishEvents, startHoldfast, withServers } from "../../servers.ts";

const SIZES = [1, 1000, 10_000] as const;
const CONNECTIONS = 8;

const called = (size: number) => `${size.toLocaleString("en")} retained`;
const [FEW, MOST] = [called(SIZES[0]), called(SIZES[2])];

interface Full {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  readonly path: string;
  /** Its last event but one. */
  readonly lastEventId: string;
}

export function byEvents(folder: string, effort: Effort): Promise<Compared> {
  const retaining = (size: number) =>
    startHoldfast(
      {
        LOG_MAX_EVENTS: String(size),
        LOG_MAX_BYTES: String(64 * 2 ** 20),
        QUEUE_CAPACITY: "100000",
        MAX_WRITERS: "10000",
      },
      folder,
    );
  return withServers(async (start) => {
    const servers = await Promise.all(SIZES.map((size) => start(retaining(size))));
    const full = await Promise.all(
      servers.map(async (server, n): Promise<Full> => {
        const { url, pid } = server;
        const [size, path] = [SIZES[n] ?? 0, `/v1/sessions/${await makeSession(server)}`];
        const events = `${url}${path}/events`;
        const ids = await whileFollowed(events, () => publishEvents(events, size + 1));
        return { name: called(size), url, pid, path, lastEventId: ids.at(-2) ?? "" };
      }),
    );
    const job = (name: string, measure: Measure, run: Run<Full>) => () =>
      compare(
        { job: name, ours: MOST, measures: [measure] },
        full.map((of): Contender => ({
          name: of.name,
          pid: of.pid,
          run: (seconds) => run(of, seconds),
        })),
        effort,
      );
    const load = { connections: CONNECTIONS };
    const { rows, claims } = await compareAll([
      job("read", rate(), ({ url, path }, seconds) =>
        requests({ ...load, seconds, url, method: "GET", paths: [path] }),
      ),
      job("resume", p50(), ({ url, path, lastEventId }, seconds) =>
        resumptions({
          streams: [{ url: `${url}${path}/events`, lastEventId }],
          events: 1,
          seconds,
        }),
      ),
      job("publish", rate(), ({ url, path }, seconds) => {
        const events = `${path}/events`;
        const plan = {
          ...load,
          seconds,
          url,
          method: "POST",
          paths: [events],
          body: '{"data":"x"}',
        };
        return whileFollowed(url + events, () => requests(plan));
      }),
    ]);
    return { rows, claims: claims.filter(({ other }) => other === FEW) };
  });
}

/** With a reader no queue fills, and each publish lets go of what the log has no room for, as in service. */
async function whileFollowed<Result>(url: string, act: () => Promise<Result>): Promise<Result> {
  const leave = new AbortController();
  const { body } = await fetch(url, { signal: leave.signal });
  const reading = body?.pipeTo(new WritableStream()).catch(() => {});
  const result = await act();
  leave.abort();
  await reading;
  return result;
}
