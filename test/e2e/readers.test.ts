/** Readers that leave, stall or dawdle, over real connections: in one process none of this shows. */
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { expect, it } from "vitest";
import { Relay } from "../support/relay.ts";
import { atEnd, beside } from "../support/scope.ts";
import { scrape } from "../support/metrics.ts";
import { Service } from "../support/service.ts";
import { SseReader } from "../support/sse-reader.ts";

const KEEPALIVE_SECONDS = 1;
/**
 * These tests show that the service notices a reader; test/unit/stream/bridge.test.ts shows how soon, on a fake
 * clock. A reader that takes no more might be on a slow link, which takes 24 s to show that it is read.
 */
const PATIENCE = { timeout: 5 * 60_000 };
const MIB = 1024 * 1024;

/** A client without a library, so that a test decides when it reads and what it closes. */
async function rawClient(port: number, path: string): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  atEnd(() => void socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  return socket;
}

/** Resolves when the text has come. Asked for before it is sent: what comes while nobody listens is lost. */
function comes(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve) => {
    let received = "";
    const look = (chunk: Buffer): void => {
      received += String(chunk);
      if (!received.includes(text)) return;
      socket.off("data", look);
      resolve();
    };
    socket.on("data", look);
  });
}

async function start(env: Record<string, string> = {}) {
  const service = await Service.start({
    LOG_LEVEL: "debug",
    KEEPALIVE_SECONDS: String(KEEPALIVE_SECONDS),
    ...env,
  });
  const { id } = await service.make();
  const attached = service.logged(({ event }) => event === "writer.attach");
  const left = service.logged(({ event }) => event === "writer.leave");
  const writers = async () =>
    (await service.send<{ writers: number }>("GET", `/v1/sessions/${id}?touch=false`)).json.writers;
  return { service, id, path: `/v1/sessions/${id}/events`, attached, left, writers };
}

it.concurrent.each(["closes", "closes after it half-closed", "is killed"])(
  "a client that %s is noticed by the keep-alives",
  PATIENCE,
  beside(async (how) => {
    const { service, id, path, attached, left, writers } = await start();
    const socket = await rawClient(service.port, path);
    await once(socket, "data");
    await attached;
    expect(await writers()).toBe(1);
    if (how === "closes after it half-closed") {
      // The client may read on (RFC 9112, 9.6), and workerd serves it: it is a reader until it takes no more.
      socket.end();
      const read = comes(socket, "still read");
      await service.publish(id, { data: "still read" });
      await read;
      expect(await writers()).toBe(1);
    }
    if (how === "is killed") socket.resetAndDestroy();
    else socket.destroy();
    await left;
    expect(await writers()).toBe(0);
  }),
);

it.concurrent.each([
  "never reads",
  "half-closes and stops reading",
  "sits behind a relay that goes silent",
])(
  "a client that %s is cut once it does not take what it is sent",
  PATIENCE,
  beside(async (how) => {
    const { service, id, path, attached, left, writers } = await start({
      STREAM_BUFFER_BYTES: String(64 * MIB),
    });
    const relay = await Relay.to(service.port);
    const socket = await rawClient(how.startsWith("sits") ? relay.port : service.port, path);
    await attached;
    if (how === "half-closes and stops reading") socket.end();
    if (!how.startsWith("sits")) socket.pause();
    else {
      await once(socket, "data");
      relay.silence();
    }
    // Until the machine's own buffers are full, a byte is taken whether or not somebody reads it.
    const filler = { data: "x".repeat(MIB - 1000) };
    for (let n = 0; n < 24; n++) await service.publish(id, filler);
    await left;
    expect(await writers()).toBe(0);
    expect(service.lines).toContainEqual(
      expect.objectContaining({ event: "reader.cut", reason: "stalled" }),
    );
  }),
);

it.concurrent(
  "a reader that reads at once is not cut, however large the events are that four publish",
  beside(async () => {
    const { service } = await start({ LOG_MAX_BYTES: String(64 * MIB) });
    for (const length of [200_000, 600_000]) {
      const { id } = await service.make();
      const reader = new SseReader((await service.fetch(`/v1/sessions/${id}/events`)).body!);
      let left = 24;
      const publisher = async (): Promise<void> => {
        while (left-- > 0) await service.publish(id, { data: "m".repeat(length) });
      };
      const [events] = await Promise.all([
        reader.take(24),
        ...Array.from({ length: 4 }, publisher),
      ]);
      expect(events).toHaveLength(24);
      expect(service.lines).not.toContainEqual(expect.objectContaining({ event: "reader.cut" }));
      await reader.leave();
    }
  }),
);

it("unread events are kept for the next reader when the first one's connection is reset, after any number of bytes", async () => {
  const { service, id, path, writers } = await start();
  await service.publish(id, [{ data: "a" }, { data: "b" }]);
  for (const bytes of [0, 1, 100, 140, 200, 260]) {
    const socket = await rawClient(service.port, path);
    let received = 0;
    if (bytes > 0) {
      while (received < bytes) received += ((await once(socket, "data")) as [Buffer])[0].length;
    }
    socket.resetAndDestroy();
    await expect.poll(writers).toBe(0);
  }
  const reader = new SseReader((await service.fetch(path)).body!);
  expect((await reader.take(2)).map(({ data }) => data)).toEqual(["a", "b"]);
  await reader.leave();
});

it("a slow reader is cut at the bound, others notice nothing, and it resumes from what the log holds", async () => {
  const { service, id, path, attached, writers } = await start({
    KEEPALIVE_SECONDS: "60",
    LOG_MAX_BYTES: String(16 * MIB),
  });
  const memory = async () => {
    const status = await readFile(`/proc/${service.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  };
  const quick = new SseReader((await service.fetch(path)).body!);
  const slow = await rawClient(service.port, path);
  await attached;
  slow.pause();
  await expect.poll(writers).toBe(2);
  const cut = service.logged(({ event }) => event === "reader.cut");

  // As large as an event may be that is sent as it comes: a larger one waits in the log.
  const chunk = "m".repeat(250_000);
  const publish = async (n: number) => {
    await service.publish(id, { data: `${n} ${chunk}` });
    expect((await quick.take(1))[0]!.data.startsWith(`${n} `)).toBe(true);
  };
  // The first 16 MiB warm the process up; the log holds no more than them from then on.
  for (let n = 0; n < 64; n++) await publish(n);
  const before = await memory();
  for (let n = 64; n < 192; n++) await publish(n);
  expect(await cut).toMatchObject({ reason: "slow" });
  expect(await writers()).toBe(1);
  // 30 MiB went by. Had they been queued for the slow reader, they would be here.
  expect((await memory()) - before).toBeLessThan(24 * MIB);
  expect(await scrape(service)).toMatchObject({
    'holdfast_readers_cut_total{reason="slow"}': 1,
    holdfast_streams_open: 1,
  });

  // The text that it took has whole frames up to the cut; it comes back after the last one.
  let taken = "";
  slow.on("data", (data: Buffer) => (taken += data.toString()));
  const over = once(slow, "end").catch(() => {});
  slow.resume();
  await Promise.race([over, once(slow, "close")]);
  const lastSeen = [...taken.matchAll(/^id: (\S+)\n\n/gm)].at(-1)?.[1];
  const back = new SseReader(
    (await service.fetch(path, lastSeen ? { headers: { "last-event-id": lastSeen } } : {})).body!,
  );
  const frames = lastSeen ? await back.take(2) : [];
  if (lastSeen) {
    expect(frames[0]).toMatchObject({ event: "gap" });
    expect(Number(frames[1]!.data.split(" ")[0])).toBeGreaterThan(110);
  }
  expect(lastSeen).toBeDefined();
  // One line tells of the cut, and it is ours.
  expect(service.lines.filter(({ event }) => event === "workerd")).toEqual([]);
  await back.leave();
  await quick.leave();
});
