/** A reader of a session's stream, without a bridge: it takes what comes, and says the words that a test gives it. */
import { expect } from "vitest";
import type { Sessions, StreamSocket, StreamStart } from "../../../src/core/host.ts";
import type { SessionId } from "../../../src/core/id.ts";
import { MORE, TAKEN } from "../../../src/stream/protocol.ts";
import type { ClientSocket } from "./sockets.ts";

const decoder = new TextDecoder();

export class Follower {
  readonly socket: StreamSocket;
  text = "";
  readonly words: string[] = [];

  private constructor(socket: StreamSocket) {
    this.socket = socket;
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.words.push(data);
      else this.text += decoder.decode(data as ArrayBuffer);
    });
    socket.accept?.();
  }

  static async of(
    sessions: Pick<Sessions, "subscribe">,
    id: SessionId,
    start: StreamStart = { kind: "queued" },
  ): Promise<Follower> {
    const socket = await sessions.subscribe(id, start);
    expect(socket).toBeDefined();
    return new Follower(socket!);
  }

  /** The frames that carry data, with their names and ids. */
  get frames(): {
    readonly event: string | undefined;
    readonly data: string;
    readonly id: string;
  }[] {
    return this.text.split("\n\n").flatMap((frame) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(frame)?.[1];
      const data = field("data");
      return data === undefined ? [] : [{ event: field("event"), data, id: field("id") ?? "" }];
    });
  }

  get data(): string[] {
    return this.frames.map(({ data }) => data);
  }

  /** The last id that it was sent. */
  get lastId(): string {
    return [...this.text.matchAll(/^id: (\S+)$/gm)].at(-1)?.[1] ?? "";
  }

  /** The code by which the object closed it; undefined while it is open. */
  get closedBy(): number | undefined {
    return (this.socket as unknown as ClientSocket).closedBy;
  }

  /** Says that its reader has taken everything up to an event. */
  take(id = this.lastId): void {
    this.socket.send(TAKEN + id);
  }

  more(): void {
    this.socket.send(MORE);
  }

  leave(taken = ""): void {
    this.socket.close(4100, taken);
  }
}
