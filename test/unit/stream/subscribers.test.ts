/** The subscribers of a session: which socket gets what, what closes it, and what another life of the object knows of it. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { LogPage } from "../../../src/stream/event-log.ts";
import { BEHIND, CLOSE_CODES } from "../../../src/stream/protocol.ts";
import { Subscribers } from "../../../src/stream/subscribers.ts";

const [OPEN, CLOSED] = [1, 3];

beforeEach(() => void vi.stubGlobal("WebSocket", { READY_STATE_OPEN: OPEN }));
afterEach(() => void vi.unstubAllGlobals());

class Socket {
  readyState = OPEN;
  readonly sent: unknown[] = [];
  readonly codes: number[] = [];
  attachment: unknown = null;

  /** As the platform: once the socket is no longer open, this throws. */
  send(message: unknown): void {
    if (this.readyState !== OPEN) throw new Error("the socket is closed");
    this.sent.push(message);
  }
  close(code: number): void {
    this.codes.push(code);
    if (this.readyState === CLOSED) throw new Error("the socket is closed");
    this.readyState = CLOSED;
  }
  serializeAttachment(value: unknown): void {
    this.attachment = structuredClone(value);
  }
  deserializeAttachment(): unknown {
    return this.attachment;
  }
  get socket(): WebSocket {
    return this as unknown as WebSocket;
  }
}

/** A session's sockets, which outlive the object. */
class Session {
  readonly sockets: Socket[] = [];
  subscribers: Subscribers;

  constructor(...sockets: readonly Socket[]) {
    this.sockets.push(...sockets);
    this.subscribers = this.load();
  }

  /** Another life of the object. */
  load(): Subscribers {
    const ctx = {
      getWebSockets: () => this.sockets,
      acceptWebSocket: (socket: Socket) => void this.sockets.push(socket),
    };
    this.subscribers = new Subscribers(ctx as unknown as DurableObjectState);
    return this.subscribers;
  }

  /** A new subscriber, which is live at once, or behind at `seq`. */
  attach(stream = 0, seq?: number): Socket {
    const one = new Socket();
    this.subscribers.attach(one.socket, stream, seq ?? 0);
    if (seq === undefined) this.subscribers.sendPage(one.socket, page([], 0));
    return one;
  }
}

const page = (texts: readonly string[], through: number, complete = true): LogPage => ({
  frames: texts.map(bytes),
  through,
  complete,
});
const bytes = (text: string) => new TextEncoder().encode(text);
const sent = (one: Socket) =>
  one.sent.map((message) =>
    typeof message === "string" ? `word ${message}` : new TextDecoder().decode(message as never),
  );
const socketsOf = (...ones: readonly Socket[]) => ones.map(({ socket }) => socket);

describe("a life of the object", () => {
  it("adopts the subscribers that are open, with their state, and no other socket", () => {
    const first = new Session();
    const [live, behind, closing] = [first.attach(), first.attach(2, 7), first.attach()];
    const [foreign, other] = [new Socket(), new Socket()];
    other.serializeAttachment({ kind: "waiter", stream: 0 });
    first.sockets.push(foreign, other);
    closing.readyState = 2;
    const subscribers = first.load();
    expect([subscribers.size, subscribers.count(0), subscribers.count(2)]).toEqual([2, 1, 1]);
    expect(subscribers.state(live.socket)).toEqual({ kind: "subscriber", stream: 0 });
    expect(subscribers.state(behind.socket)).toEqual({
      kind: "subscriber",
      stream: 2,
      replayingFrom: 7,
    });
    for (const one of [closing, foreign, other]) {
      expect(subscribers.state(one.socket)).toBeUndefined();
    }
    subscribers.closeAll(4001);
    expect([foreign.codes, other.codes, closing.codes]).toEqual([[], [], []]);
  });

  it("is without any where there is none", () => {
    const { subscribers } = new Session(new Socket());
    expect([subscribers.isEmpty, subscribers.size, subscribers.first(0)]).toEqual([
      true,
      0,
      undefined,
    ]);
    expect(subscribers.closeAll(4001)).toBe(0);
  });

  it("has one whose connection is closing until its close event, and sends it nothing", () => {
    const session = new Session();
    const one = session.attach();
    one.readyState = 2;
    const { subscribers } = session;
    expect([subscribers.isEmpty, subscribers.size, subscribers.count(0)]).toEqual([false, 0, 0]);
    expect(subscribers.state(one.socket)).toBeUndefined();
    expect(subscribers.broadcast(0, bytes("x"))).toBe(0);
    expect(one.codes).toEqual([]);
    expect(subscribers.detach(one.socket)).toEqual({ kind: "subscriber", stream: 0 });
    expect(subscribers.isEmpty).toBe(true);
  });
});

describe("a new subscriber", () => {
  it("is accepted, and behind until it has the last page", () => {
    const session = new Session();
    const one = new Socket();
    const { subscribers } = session;
    subscribers.attach(one.socket, 3, 10);
    expect(session.sockets).toEqual([one]);
    expect(one.attachment).toEqual({ kind: "subscriber", stream: 3, replayingFrom: 10 });
    expect(subscribers.broadcast(3, bytes("too soon"))).toBe(0);
    subscribers.sendPage(one.socket, page(["a", "b"], 12, false));
    expect(sent(one)).toEqual(["a", "b", `word ${BEHIND}`]);
    expect(one.attachment).toEqual({ kind: "subscriber", stream: 3, replayingFrom: 12 });
    expect(subscribers.broadcast(3, bytes("too soon"))).toBe(0);
    subscribers.sendPage(one.socket, page(["c"], 13));
    expect(one.attachment).toEqual({ kind: "subscriber", stream: 3 });
    expect(subscribers.broadcast(3, bytes("d"))).toBe(1);
    expect(sent(one).slice(3)).toEqual(["c", "d"]);
  });

  it("gets no page where it is none any more", () => {
    const { subscribers } = new Session();
    const stranger = new Socket();
    subscribers.sendPage(stranger.socket, page(["a"], 1));
    expect([stranger.sent, stranger.attachment]).toEqual([[], null]);
  });
});

describe("a message", () => {
  it("goes to the live subscribers of its stream", () => {
    const session = new Session();
    const [one, two] = [session.attach(), session.attach()];
    const [elsewhere, behind] = [session.attach(2), session.attach(0, 1)];
    expect(session.subscribers.broadcast(0, bytes("x"))).toBe(2);
    expect([one, two, elsewhere, behind].map(sent)).toEqual([["x"], ["x"], [], []]);
  });

  it("that cannot be sent ends its reader, who would miss it and get the next, and no other one", () => {
    const session = new Session();
    const [broken, fine] = [session.attach(), session.attach()];
    broken.send = () => {
      throw new Error("too much waits");
    };
    expect(session.subscribers.broadcast(0, bytes("x"))).toBe(2);
    expect([broken.codes, fine.codes, sent(fine)]).toEqual([[CLOSE_CODES.unreadable], [], ["x"]]);
  });

  it("of control goes to one stream, or to all, to those behind too", () => {
    const session = new Session();
    const [one, behind, elsewhere] = [session.attach(), session.attach(0, 1), session.attach(2)];
    session.subscribers.sendControl("first", 0);
    session.subscribers.sendControl("second");
    expect([one, behind, elsewhere].map(sent)).toEqual([
      ["word first", "word second"],
      ["word first", "word second"],
      ["word second"],
    ]);
  });
});

it("replay starts for the live subscribers of a stream, and leaves the place of those behind", () => {
  const session = new Session();
  const [one, behind, elsewhere] = [session.attach(), session.attach(0, 1), session.attach(2)];
  session.subscribers.note(one.socket, { witness: true });
  expect(session.subscribers.startReplay(0, 9)).toEqual(socketsOf(one));
  expect([one, behind, elsewhere].map(({ attachment }) => attachment)).toEqual([
    { kind: "subscriber", stream: 0, witness: true, replayingFrom: 9 },
    { kind: "subscriber", stream: 0, replayingFrom: 1 },
    { kind: "subscriber", stream: 2 },
  ]);
  expect(session.subscribers.broadcast(0, bytes("x"))).toBe(0);
});

describe("what is noted of a subscriber", () => {
  it("is known to every life: its witness, and what was taken on its stream", () => {
    const session = new Session();
    const [one, two, elsewhere] = [session.attach(), session.attach(), session.attach(2)];
    const { subscribers } = session;
    expect([subscribers.witness(0), subscribers.taken(0)]).toEqual([undefined, []]);
    subscribers.note(two.socket, { witness: true });
    subscribers.note(two.socket, { taken: "id-2" });
    subscribers.note(one.socket, { taken: "id-1" });
    subscribers.note(elsewhere.socket, { taken: "id-3" });
    for (const life of [subscribers, session.load()]) {
      expect(life.witness(0)).toBe(two.socket);
      expect(life.witness(2)).toBeUndefined();
      expect([life.taken(0), life.taken(2)]).toEqual([["id-1", "id-2"], ["id-3"]]);
      expect([life.first(0), life.first(2)]).toEqual(socketsOf(one, elsewhere));
    }
  });

  it("is nothing of a socket that is none", () => {
    const stranger = new Socket();
    new Session().subscribers.note(stranger.socket, { witness: true });
    expect(stranger.attachment).toBeNull();
  });

  it("goes with the connection", () => {
    const session = new Session();
    const one = session.attach();
    session.subscribers.note(one.socket, { witness: true, taken: "id" });
    one.readyState = 2;
    const { subscribers } = session;
    expect([subscribers.witness(0), subscribers.taken(0), subscribers.first(0)]).toEqual([
      undefined,
      [],
      undefined,
    ]);
  });
});

describe("the end", () => {
  it("of all comes with a last frame on the session's own stream, to those behind too", () => {
    const session = new Session();
    const [one, behind, gateway] = [session.attach(), session.attach(0, 1), session.attach(1)];
    expect(session.subscribers.closeAll(4000, bytes("last"))).toBe(3);
    expect([one, behind, gateway].map(sent)).toEqual([["last"], ["last"], []]);
    expect([one, behind, gateway].map(({ codes }) => codes)).toEqual([[4000], [4000], [4000]]);
    // Each holds the session until its close event.
    expect([session.subscribers.isEmpty, session.subscribers.size]).toEqual([false, 0]);
  });

  it("of all is without a frame where there is none", () => {
    const session = new Session();
    const one = session.attach();
    expect(session.subscribers.closeAll(4001)).toBe(1);
    expect([sent(one), one.codes]).toEqual([[], [4001]]);
  });

  it("of a stream is that of its subscribers, or of its live ones alone", () => {
    const session = new Session();
    const [one, behind, elsewhere] = [session.attach(), session.attach(0, 1), session.attach(2)];
    session.subscribers.closeStream(0, 4002, true);
    expect([one, behind, elsewhere].map(({ codes }) => codes)).toEqual([[4002], [], []]);
    session.subscribers.closeStream(0, 4003);
    expect([one, behind, elsewhere].map(({ codes }) => codes)).toEqual([[4002], [4003], []]);
  });

  it("of one that is closed already is no failure", () => {
    const session = new Session();
    const one = session.attach();
    one.readyState = CLOSED;
    expect(() => session.subscribers.close(one.socket, 4002)).not.toThrow();
    expect(one.codes).toEqual([4002]);
  });
});

describe("a close event", () => {
  it("completes the handshake with a code of our own, and says what the socket was", () => {
    const session = new Session();
    const one = session.attach(2, 5);
    expect(session.subscribers.detach(one.socket)).toEqual({
      kind: "subscriber",
      stream: 2,
      replayingFrom: 5,
    });
    expect(one.codes).toEqual([1000]);
    expect([session.subscribers.isEmpty, session.subscribers.count(2)]).toEqual([true, 0]);
  });

  it("of one that was closing when the object woke says it too, and of a foreign one nothing", () => {
    const session = new Session();
    const [one, foreign, other] = [session.attach(2), new Socket(), new Socket()];
    other.serializeAttachment({ kind: "waiter" });
    one.readyState = 2;
    const subscribers = session.load();
    expect(subscribers.isEmpty).toBe(true);
    expect(subscribers.detach(one.socket)).toEqual({ kind: "subscriber", stream: 2 });
    expect(subscribers.detach(foreign.socket)).toBeUndefined();
    expect(subscribers.detach(other.socket)).toBeUndefined();
  });
});
