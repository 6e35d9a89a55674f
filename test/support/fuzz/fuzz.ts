/**
 * The fuzzer over real HTTP, against a service with AUTH=token. Its callers have every scope but
 * admin, or a wrong credential, or none. A victim's session with a reader attached is among their
 * targets.
 */
import { isDeepStrictEqual } from "node:util";
import { SCOPES } from "../../../src/auth/identity.ts";
import { apiTokens, type TestTokens } from "../api-tokens.ts";
import { CANARY } from "../canary.ts";
import { SseReader } from "../sse-reader.ts";
import { FuzzClient } from "./client.ts";
import { Random } from "./random.ts";
import { makeNoise, makeRequest, type OpenApi, type Seeds } from "./requests.ts";
import { findingOf } from "./verdict.ts";

/** Requests under way at a time, unless more are asked for. */
const WORKERS = 24;
/** Share of requests that are no HTTP at all; each costs a connection. */
const NOISE = 0.01;
/** The run ends after so many findings. */
const MOST_FINDINGS = 10;

/** Noise was answered with a failure of ours. workerd's own 501 is for methods that HTTP does not have. */
const FAILED = /^HTTP\/1\.1 5(?!01 )/;

const most = SCOPES.filter((scope) => scope !== "admin");
const CREDENTIALS = ["attacker", "attacker", "attacker", "reader", "nothing"];

/** A service that is fuzzed. */
interface FuzzTarget {
  readonly port: number;
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

interface FuzzOptions {
  readonly requests: number;
  /** The run ends after so many seconds. */
  readonly seconds: number;
  /** A seed repeats a run. */
  readonly seed: number;
  /** Requests under way at a time. */
  readonly workers?: number;
  /** The service may refuse any request with 503 and `Retry-After`. */
  readonly mayRefuse?: boolean;
  /** Called before each request, with the number of those before. */
  readonly onRequest?: (sent: number) => void;
}

interface Fuzzed {
  readonly sent: number;
  readonly seconds: number;
  /** How often each status came, or why no answer did. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Broken promises, each in a line. */
  readonly findings: readonly string[];
}

/** The secrets of the victim, and the callers. They are made before the service starts. */
export class Fuzz {
  readonly mark = `${CANARY}-${crypto.randomUUID()}`;
  readonly #ticketSecret = `ticket-secret-${crypto.randomUUID()}`;
  readonly #tokens: TestTokens;
  /** No answer and no log line may hold any of them. */
  readonly secrets: string[];

  private constructor(tokens: TestTokens) {
    this.#tokens = tokens;
    this.secrets = [this.mark, this.#ticketSecret, ...tokens.secrets];
  }

  static async make(): Promise<Fuzz> {
    return new Fuzz(
      await apiTokens({
        victim: ["victim", most],
        attacker: ["attacker", most],
        reader: ["attacker", ["sessions:read", "events:subscribe"]],
        nothing: ["attacker", []],
      }),
    );
  }

  /** The variables of the service. */
  get env(): Record<string, string> {
    return {
      AUTH: "token",
      API_TOKENS: this.#tokens.variable,
      TICKET_SECRET: this.#ticketSecret,
      RATE_LIMIT_PER_SUBJECT: "0",
      RATE_LIMIT_PER_ADDRESS: "0",
      KEEPALIVE_SECONDS: "1",
      ALLOWED_ORIGINS: "https://app.example",
    };
  }

  async run(target: FuzzTarget, options: FuzzOptions): Promise<Fuzzed> {
    const random = new Random(options.seed);
    const victim = await this.#makeVictim(target);
    const seeds = await this.#makeSeeds(target, victim.id, random);
    const fuzzed = await this.#send(target.port, seeds, random, options);
    return { ...fuzzed, findings: [...fuzzed.findings, ...(await victim.harm())] };
  }

  /** Ends every session of the callers. */
  async clear(target: FuzzTarget): Promise<void> {
    for (const who of ["attacker", "victim"]) {
      await target.fetch(`/v1/sessions?subject=${who}`, {
        method: "DELETE",
        headers: this.#as(who),
      });
    }
  }

  #as(who: string): Record<string, string> {
    return { ...this.#tokens.headers[who], "content-type": "application/json" };
  }

  async #make(target: FuzzTarget, who: string, body: object): Promise<string> {
    const response = await target.fetch("/v1/sessions", {
      method: "POST",
      body: JSON.stringify(body),
      headers: this.#as(who),
    });
    return ((await response.json()) as { id: string }).id;
  }

  async #makeVictim(target: FuzzTarget) {
    const { mark } = this;
    const headers = this.#as("victim");
    const id = await this.#make(target, "victim", { metadata: { [mark]: mark }, data: mark });
    const events = `/v1/sessions/${id}/events`;
    const reader = new SseReader((await target.fetch(events, { headers })).body!);
    const body = JSON.stringify({ data: mark });
    const { status } = await target.fetch(events, { method: "POST", body, headers });
    if (status !== 202) throw new Error(`the victim's publish answered ${status}`);
    // The victim's reader is attached all the time, so only the end of its life moves by itself.
    const look = async () => {
      const answer = await target.fetch(`/v1/sessions/${id}?touch=false`, { headers });
      return { ...((await answer.json()) as object), expiresAt: "" };
    };
    const before = await look();
    const harm = async (): Promise<string[]> => {
      const after = await look();
      await reader.until(new RegExp(mark));
      const marks = reader.text.match(new RegExp(mark, "g"))?.length ?? 0;
      return [
        ...(isDeepStrictEqual(after, before) ? [] : ["the victim's session has changed"]),
        ...(reader.ended ? ["the victim's stream has ended"] : []),
        ...(/^event: /m.test(reader.text) || marks !== 1 ? ["the victim's stream has more"] : []),
      ];
    };
    return { id, harm };
  }

  async #makeSeeds(target: FuzzTarget, victim: string, random: Random): Promise<Seeds> {
    const own = await Promise.all(
      Array.from({ length: 6 }, () => this.#make(target, "attacker", {})),
    );
    const headers = this.#as("attacker");
    // A ticket lets in to its own stream, so its session is none of those that requests aim at.
    const tickets = await Promise.all(
      own.slice(0, 2).map(async (id) => {
        const path = `/v1/sessions/${id}`;
        const made = await target.fetch(`${path}/tickets`, { method: "POST", headers });
        const { ticket } = (await made.json()) as { ticket: string };
        await target.fetch(path, { method: "DELETE", headers });
        return ticket;
      }),
    );
    this.secrets.push(...tickets);
    const document = (await (await target.fetch("/openapi.json")).json()) as OpenApi;
    return {
      document,
      ids: [victim, victim, ...own.slice(2), random.uuid()],
      credentials: CREDENTIALS.map((who) => this.#tokens.headers[who]!.authorization),
      wrongCredentials: [
        undefined,
        undefined,
        "Bearer x",
        `Bearer hf_${"A".repeat(43)}`,
        "Basic eDp4",
        "Bearer",
        "",
        `Bearer ${tickets[0]}`,
      ],
      tickets,
    };
  }

  async #send(port: number, seeds: Seeds, random: Random, options: FuzzOptions): Promise<Fuzzed> {
    const { requests, seconds, workers = WORKERS, mayRefuse = false, onRequest } = options;
    // The callers know their own tickets.
    const secrets = this.secrets.filter((secret) => !seeds.tickets.includes(secret));
    const client = new FuzzClient(port);
    const findings: string[] = [];
    const statuses: Record<string, number> = {};
    const count = (key: string) => (statuses[key] = (statuses[key] ?? 0) + 1);
    const began = performance.now();
    let sent = 0;
    const goesOn = () =>
      sent < requests &&
      performance.now() - began < seconds * 1000 &&
      findings.length < MOST_FINDINGS;
    const work = async () => {
      while (goesOn()) {
        onRequest?.(sent);
        sent++;
        if (random.chance(NOISE)) {
          const bytes = makeNoise(random);
          const answer = await client.noise(bytes);
          const leaks = secrets.some((secret) => answer.includes(secret));
          if (leaks || FAILED.test(answer))
            findings.push(`${bytes.toString("latin1")} => ${answer}`);
          continue;
        }
        const request = makeRequest(random, seeds);
        let answer = await client.send(request);
        // The service may close a kept connection just as it is used again; a fresh one tells that from a crash.
        for (let n = 0; n < 3 && /^(ECONNRESET|EPIPE|socket hang up)$/.test(String(answer)); n++) {
          count("closed");
          answer = await client.send(request);
        }
        const finding = findingOf(request, answer, { secrets, mayRefuse });
        count(typeof answer === "string" ? answer : String(answer.status));
        if (finding === undefined) continue;
        const { body, ...shown } = request;
        findings.push(
          JSON.stringify({ finding, ...shown, body: body?.toString("utf8").slice(0, 300), answer }),
        );
      }
    };
    await Promise.all(Array.from({ length: workers }, work));
    client.close();
    return { sent, seconds: (performance.now() - began) / 1000, statuses, findings };
  }
}
