/** Callers of a slow tool through the gateway. They leave in the middle and resume. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../support/fuzz/random.ts";
import { McpSession, type Rpc } from "../../support/mcp/client.ts";
import { ResumingClient } from "../../support/resuming-client.ts";
import type { Journal } from "../journal.ts";
import { atRate } from "./pace.ts";
import { SESSIONS } from "./sessions.ts";

const STEPS = 8;
const SECONDS = 1.6;
/** The most milliseconds that a client stays away. */
const LONGEST_ABSENCE_MS = 2500;
/** Milliseconds that it waits for one stream to end, and for the whole call. */
const STREAM_MS = 8000;
const PATIENCE_MS = 40_000;
const RETRY_MS = 200;
/** Share of the calls that a client resumes once more after the last message. */
const RESUMED_AGAIN = 0.3;
/** About the seconds that one call takes. */
const CALL_SECONDS = 4;

interface Message extends Omit<Rpc, "params"> {
  readonly params?: { readonly progress?: number };
}

export class CallTraffic {
  readonly #journal: Journal;
  readonly #random: Random;
  readonly #url: string;
  readonly #mayRefuse: boolean;
  readonly #sessions: (McpSession | undefined)[] = [];
  #calls = 0;

  /** With `mayRefuse` the service may refuse calls with 503 at any time, since it has too few open files. */
  constructor(journal: Journal, random: Random, url: string, mayRefuse = false) {
    this.#journal = journal;
    this.#random = random;
    this.#url = url;
    this.#mayRefuse = mayRefuse;
  }

  async run(rate: number, signal: AbortSignal): Promise<void> {
    const workers = Math.ceil(rate * CALL_SECONDS);
    await atRate(rate, signal, (worker) => this.#callAs(worker), workers);
  }

  /** Picks one of the callers' sessions as a fault's target. */
  anyId(): string | undefined {
    return this.#random.pick(this.#sessions)?.id;
  }

  async #callAs(worker: number): Promise<void> {
    const session = (this.#sessions[worker] ??= await this.#open());
    if (session) await this.#call(session);
  }

  async #open(): Promise<McpSession | undefined> {
    const { timeline } = this.#journal;
    const startedAt = timeline.now;
    const session = await McpSession.open(`${this.#url}/mcp`).catch(statusIn);
    if (!(session instanceof McpSession)) {
      // The session may exist under an id that did not arrive.
      this.#journal.unnamed++;
      timeline.count("failures");
      const excused = session === undefined || session === FAILED;
      if (!excused || !(this.#mayRefuse || (await timeline.hasEndedSince(startedAt)))) {
        this.#journal.surprise(`POST /mcp, initialize: ${session ?? "no answer"}`);
      }
      return undefined;
    }
    await this.#journal.change<never>(
      SESSIONS,
      { record: session.id, kind: "create", value: "" },
      async () => ({ outcome: "done" }),
    );
    return session;
  }

  async #call(session: McpSession): Promise<void> {
    const call = `call ${this.#calls++}`;
    const { timeline } = this.#journal;
    const startedAt = timeline.now;
    const client = this.#clientOf(session, call);
    const problem = (await connect(client)) ?? (await this.#leaveAndReturn(client, call));

    const received = messagesOf(client);
    const last = received.findIndex(({ id }) => id === call);
    const seen = received.flatMap(({ params }) => params?.progress ?? []);
    const afterwards = last < 0 ? 0 : await this.#afterwards(client, last);
    const refused = this.#mayRefuse && problem === REFUSED;
    const disturbed =
      refused ||
      (last < 0
        ? await timeline.hasEndedSince(startedAt, session.id)
        : timeline.endedSince(startedAt, session.id));
    const end = last >= 0 ? endOf(received[last]!) : client.named ? problem : "unanswered";
    this.#journal.calls.push({ call, steps: STEPS, seen, end, afterwards, disturbed });
    timeline.count(end === "unanswered" ? "failures" : "changes");
  }

  /** The client of one call. It writes down each answer that no contract allows. */
  #clientOf(session: McpSession, call: string): ResumingClient {
    const params = {
      name: "count",
      arguments: { steps: STEPS, seconds: SECONDS },
      _meta: { progressToken: call },
    };
    let called = false;
    return new ResumingClient(async (lastEventId) => {
      if (lastEventId === undefined && called) throw new Error(NOTHING_TO_RESUME);
      called = true;
      const response =
        lastEventId === undefined
          ? await session.post({ jsonrpc: "2.0", id: call, method: "tools/call", params })
          : await session.get(lastEventId);
      const { status } = response;
      if (status !== 200) await response.body?.cancel();
      if (status !== 200 && status !== FAILED) {
        const what = lastEventId === undefined ? "POST /mcp, tools/call" : "GET /mcp";
        this.#journal.surprise(`${what}: ${status}`);
      }
      return response;
    });
  }

  /** Answers the problem that kept the rest from coming. */
  async #leaveAndReturn(client: ResumingClient, call: string): Promise<string | undefined> {
    await sleep(this.#random.next() * SECONDS * 1000);
    const share = 0.3 + this.#random.next() * 0.7;
    // A client that leaves before the stream names an id cannot resume.
    if (client.named) await client.cut(share, "named");
    else await endOrCut(client, STREAM_MS);
    if (client.named) await sleep(this.#random.next() * LONGEST_ABSENCE_MS);
    return this.#collect(client, call);
  }

  /** Resumes until all messages have come. Answers the problem if they do not. */
  async #collect(client: ResumingClient, call: string): Promise<string | undefined> {
    const until = performance.now() + PATIENCE_MS;
    let problem: string | undefined;
    while (performance.now() < until) {
      if (messagesOf(client).some(({ id }) => id === call)) return;
      problem = await connect(client);
      if (problem === NOTHING_TO_RESUME) return problem;
      if (problem === undefined) await endOrCut(client, STREAM_MS);
      else await sleep(RETRY_MS);
    }
    return problem;
  }

  /** The number of messages after the last one, now or after one more resumption. */
  async #afterwards(client: ResumingClient, last: number): Promise<number> {
    if (this.#random.chance(RESUMED_AGAIN) && (await connect(client)) === undefined) {
      await endOrCut(client, RETRY_MS);
    }
    return messagesOf(client).length - last - 1;
  }
}

/** The problem of a client whose call was refused with 503. */
const REFUSED = "following answered 503";
const NOTHING_TO_RESUME = "nothing to resume from";
/** The status with which the service says that it failed. */
const FAILED = 503;

/** The status in an error of McpSession; undefined if no answer came. */
function statusIn(failure: unknown): number | undefined {
  const said =
    failure instanceof Error ? /^initialize: (\d+)/.exec(failure.message)?.[1] : undefined;
  return said === undefined ? undefined : Number(said);
}

/** The received messages. A frame without data only names an id to resume from. */
function messagesOf({ received }: ResumingClient): Message[] {
  return received.filter((data) => data !== "").map((data) => JSON.parse(data) as Message);
}

/** Answers the problem, or undefined. */
async function connect(client: ResumingClient): Promise<string | undefined> {
  try {
    await client.connect();
    return undefined;
  } catch (failure) {
    return failure instanceof Error ? failure.message : String(failure);
  }
}

async function endOrCut(client: ResumingClient, milliseconds: number): Promise<void> {
  const over = new AbortController();
  const late = sleep(milliseconds, "late", { signal: over.signal }).catch(() => "over");
  if ((await Promise.race([client.ended(), late])) === "late") await client.cut(1);
  over.abort();
}

function endOf({ result, error }: Message): string {
  if (result) return "result";
  return error?.message === "upstream exchange was interrupted"
    ? "interrupted"
    : (error?.message ?? "a message of no kind");
}
