/** The directory over real HTTP: 400 sessions, walked while others come and go, and a kill in the middle. */
import { expect, it } from "vitest";
import type { SessionList } from "../../src/core/api.ts";
import { Service } from "../support/service.ts";

const SESSIONS = 400;
const SUBJECTS = 20;
const TYPES = ["mcp", "sse", "streamable"] as const;
const CALLERS = 16;

interface Known {
  readonly type: string;
  readonly subject: string;
}

/** The service, and what its answers said is there. */
class Watched {
  readonly sessions = new Map<string, Known>();
  readonly service: Service;
  #made = 0;

  constructor(service: Service) {
    this.service = service;
  }

  async make(): Promise<string> {
    const n = this.#made++;
    const body = { type: TYPES[n % 3]!, subject: `subject-${n % SUBJECTS}` };
    const { id } = await this.service.make(body);
    this.sessions.set(id, body);
    return id;
  }

  async end(id: string): Promise<void> {
    const { status } = await this.service.send("DELETE", `/v1/sessions/${id}`);
    if (status !== 204) throw new Error(`delete answered ${status}`);
    this.sessions.delete(id);
  }

  count(fits: (known: Known) => boolean = () => true): number {
    return [...this.sessions.values()].filter(fits).length;
  }

  async counted(query = ""): Promise<number> {
    const { json } = await this.service.send<{ count: number }>(
      "GET",
      `/v1/sessions/count${query}`,
    );
    return json.count;
  }

  async page(query: string): Promise<SessionList> {
    return (await this.service.send<SessionList>("GET", `/v1/sessions?${query}`)).json;
  }

  async walk(limit = 200): Promise<Map<string, Known>> {
    const seen = new Map<string, Known>();
    let cursor = "";
    for (;;) {
      const page = await this.page(`limit=${limit}${cursor}`);
      for (const { id, type, subject = "" } of page.sessions) {
        if (seen.has(id)) throw new Error("a session came twice");
        seen.set(id, { type, subject });
      }
      if (page.cursor === undefined) return seen;
      cursor = `&cursor=${page.cursor}`;
    }
  }

  /** Waits for the messages in the background, then compares everything. */
  async agrees(): Promise<void> {
    await expect.poll(() => this.counted()).toBe(this.sessions.size);
    await expect.poll(() => this.walk()).toEqual(this.sessions);
    for (const type of TYPES) {
      expect(await this.counted(`?type=${type}`)).toBe(this.count((known) => known.type === type));
    }
    for (let n = 0; n < SUBJECTS; n++) {
      const subject = `subject-${n}`;
      const fits = (known: Known) => known.subject === subject;
      expect(await this.counted(`?subject=${subject}`)).toBe(this.count(fits));
    }
  }
}

async function times(count: number, act: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const caller = async () => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
}

it(
  "lists, counts and revokes 400 sessions, and loses none to a kill",
  { timeout: 400_000 },
  async () => {
    const watched = new Watched(await Service.start({ LOG_LEVEL: "warn" }));
    const { service, sessions } = watched;
    await times(SESSIONS, () => watched.make());
    await watched.agrees();

    // A walk, while every tenth session ends and as many are made.
    const stay = [...sessions.keys()].filter((_, n) => n % 10 !== 0);
    const go = [...sessions.keys()].filter((_, n) => n % 10 === 0);
    const changes = times(go.length, async (n) => {
      await watched.end(go[n]!);
      await watched.make();
    });
    const seen = await watched.walk(20);
    await changes;
    expect(stay.filter((id) => !seen.has(id))).toEqual([]);
    await watched.agrees();

    // One subject is logged out everywhere.
    const subject = "subject-7";
    const theirs = [...sessions].filter(([, known]) => known.subject === subject);
    const { status, json } = await service.send("DELETE", `/v1/sessions?subject=${subject}`);
    expect([status, json]).toEqual([202, { deleted: theirs.length }]);
    for (const [id] of theirs) sessions.delete(id);
    await watched.agrees();
    for (const [id] of theirs.slice(0, 10)) {
      expect((await service.send("GET", `/v1/sessions/${id}`)).status).toBe(404);
    }

    // The process is killed in mid-write. A call without an answer may have happened or not:
    // the sessions themselves say which, and the directory has to agree with them.
    const doubtful: string[] = [];
    const victims = [...sessions.keys()].slice(0, 150);
    let answered = 0;
    const storm = times(300, async (n) => {
      const id = n % 2 === 0 ? victims[n / 2]! : crypto.randomUUID();
      const known = { type: TYPES[n % 3]!, subject: `subject-${n % SUBJECTS}` };
      try {
        if (n % 2 === 0) await watched.end(id);
        else {
          await service.make({ id, ...known });
          sessions.set(id, known);
        }
        if (++answered === 125) await service.kill();
      } catch {
        doubtful.push(id);
        if (n % 2 === 1) sessions.set(id, known);
      }
    });
    await storm;
    expect(doubtful.length).toBeGreaterThan(0);
    await service.restart();
    // One whose message the kill stopped is listed by its next use.
    const used = [...sessions.keys()];
    await times(used.length, async (n) => {
      const id = used[n]!;
      const { status } = await service.send("GET", `/v1/sessions/${id}`);
      expect(status).toBe(status === 404 && doubtful.includes(id) ? 404 : 200);
      if (status === 404) sessions.delete(id);
    });
    await watched.agrees();
  },
);
