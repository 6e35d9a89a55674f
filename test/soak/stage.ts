/** Starts all parts of a soak. */
import { join } from "node:path";
import { Random } from "../support/fuzz/random.ts";
import { SmallDisk } from "../support/small-disk.ts";
import { SeveringRelay } from "../support/severing-relay.ts";
import { makeFolder, removeFolder, startVariant, type WorkerServer } from "../../bench/servers.ts";
import type { Ending } from "./endings.ts";
import { Journal } from "./journal.ts";
import type { SoakOptions } from "./options.ts";
import { AnswerTraffic } from "./traffic/answers.ts";
import { Api } from "./traffic/api.ts";
import { CallTraffic } from "./traffic/calls.ts";
import { Follower } from "./traffic/follower.ts";
import { RedisTraffic } from "./traffic/redis.ts";
import { SessionTraffic } from "./traffic/sessions.ts";

const WORKER = join(import.meta.dirname, "worker.ts");
const RELAYS = 3;
export const SHARDS = 8;
const KEEPALIVE_SECONDS = 1;
/** Lines of the service's log that are said when its process has ended by itself, and those that are kept. */
const LAST_LINES = 10;
const MOST_LINES = 200_000;
/** A line that nothing here may cause: a soak damages no file. */
const NEVER = "storage.dropped";
/** A subscriber reconnects after so long without a byte, not even a keep-alive. */
const SILENCE_MS = 4 * KEEPALIVE_SECONDS * 1000;

export interface Stage {
  readonly journal: Journal;
  /** For the load's choices and the faults' targets. */
  readonly random: Random;
  readonly server: WorkerServer;
  /** The lines of its log. */
  readonly lines: readonly string[];
  /** The disk of its storage, if it has one of its own. */
  readonly disk: SmallDisk | undefined;
  readonly relays: readonly SeveringRelay[];
  /** The relays' URLs, through which clients reach the service. */
  readonly origins: readonly string[];
  readonly api: Api;
  readonly redis: RedisTraffic;
  readonly sessions: SessionTraffic;
  readonly calls: CallTraffic;
  readonly answers: AnswerTraffic;
  /** The sessions that live all the time. */
  readonly followed: readonly string[];
  readonly subscribers: readonly Follower[];
}

/** Adds to `endings` how to end each part, even if a later part cannot be started. */
export async function setStage(options: SoakOptions, endings: Ending[]): Promise<Stage> {
  const folder = makeFolder("soak");
  endings.push(() => removeFolder(folder));
  const env = {
    LOG_LEVEL: "warn",
    LOG_MAX_EVENTS: String(options.retain),
    KEEPALIVE_SECONDS: String(KEEPALIVE_SECONDS),
    DIRECTORY_SHARDS: String(SHARDS),
  };
  const disk =
    options.disk === 0 ? undefined : await SmallDisk.mount(join(folder, "disk"), options.disk);
  endings.push(() => disk?.unmount());
  const openFiles = options.openFiles === 0 ? undefined : options.openFiles;
  const journal = new Journal();
  const lines: string[] = [];
  const place = {
    env,
    folder: disk?.path ?? folder,
    openFiles,
    onLine: (line: string) => {
      if (lines.length < MOST_LINES) lines.push(line);
      if (line.includes(NEVER)) journal.surprise(`the log: ${NEVER}`);
    },
    onEnd: (up: Promise<void>) => {
      // The last lines say why.
      const last = lines.slice(-LAST_LINES).join(" | ");
      console.error(`soak: the service's process ended by itself: ${last}`);
      journal.timeline.struck("end", "service", () => up).catch(console.error);
    },
  };
  const server = await startVariant("soak", { main: WORKER }, place);
  endings.push(() => server.stop());
  const port = Number(new URL(server.url).port);
  const relays = await Promise.all(Array.from({ length: RELAYS }, () => SeveringRelay.open(port)));
  endings.push(() => relays.forEach((relay) => relay.close()));
  // The schedule of faults has its own generator, so the load's timing does not change it.
  const random = new Random(options.seed + 1);
  const redis = await RedisTraffic.start(journal, random);
  endings.push(() => redis.stop());

  const origins = relays.map(({ url }) => url);
  const api = new Api(journal);
  const sessions = new SessionTraffic({ journal, api, random, origins, silenceMs: SILENCE_MS });
  const followed = await Promise.all(
    Array.from({ length: options.sessions }, () => sessions.createLasting()),
  );
  const subscribers = followed.flatMap((session, s) =>
    Array.from({ length: options.subscribers }, (_, n) => {
      const origin = origins[(s + n) % origins.length] ?? server.url;
      const name = `subscriber ${n}`;
      return new Follower(journal, { name, session, origin, silenceMs: SILENCE_MS });
    }),
  );
  // An open subscriber reconnects for ever and keeps the process from ending.
  endings.push(() => [...subscribers, ...sessions.followers].forEach((one) => one.close()));
  await Promise.all(subscribers.map(({ opened }) => opened));
  const calls = new CallTraffic(journal, random, server.url, openFiles !== undefined);
  const answers = new AnswerTraffic({
    journal,
    api,
    random,
    sessions,
    origins,
    pageOrigin: server.url,
    retained: options.retain,
  });
  return {
    journal,
    random,
    server,
    lines,
    disk,
    relays,
    origins,
    api,
    redis,
    sessions,
    calls,
    answers,
    followed,
    subscribers,
  };
}
