/** The same calls to a session that retains few events and to one that retains many. */
import { compare, compareAll, p50, rate, type Compared, type Measure } from "../../comparison.ts";
import { resumptions } from "../../load-client.ts";
import { requesting } from "../../loads.ts";
import { contend, type Effort, type Load } from "../../measure.ts";
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
    const job = (job: string, measure: Measure, load: (of: Full) => Load) => () =>
      compare({ job, ours: MOST, measures: [measure] }, contend(full, load), effort);
    const { rows, claims } = await compareAll([
      job("read", rate(), (of) => requesting(of, { method: "GET", paths: [of.path] }, CONNECTIONS)),
      job("resume", p50(), ({ url, path, lastEventId }) => {
        const streams = [{ url: `${url}${path}/events`, lastEventId }];
        return (seconds) => resumptions({ streams, events: 1, seconds });
      }),
      job("publish", rate(), (of) => {
        const paths = [`${of.path}/events`];
        const load = requesting(of, { method: "POST", paths, body: '{"data":"x"}' }, CONNECTIONS);
        return (seconds) => whileFollowed(of.url + paths[0], () => load(seconds));
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
