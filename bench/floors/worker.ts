/**
 * The least that could be done on this runtime for each job, without anything that
 * makes it a session service: what is measured against these is what Holdfast adds.
 */
import { DurableObject } from "cloudflare:workers";
import { Hono } from "hono";

const frameOf = (data: string) => new TextEncoder().encode(`data: ${data}\n\n`);

export class FloorObject extends DurableObject {
  #ready = false;
  #stream: WritableStreamDefaultWriter<Uint8Array> | undefined;

  /** Reads: a call that does nothing. */
  noop(): number {
    return 1;
  }

  /** Creates: a new object's first row, and its alarm. */
  create(): number {
    this.ctx.storage.kv.put("record", { created: Date.now() });
    void this.ctx.storage.setAlarm(Date.now() + 7_200_000);
    return 1;
  }

  /** Publish: one row, and one hibernatable socket sent to. */
  publish(data: string): number {
    const { sql } = this.ctx.storage;
    if (!this.#ready)
      sql.exec("CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, data TEXT)");
    this.#ready = true;
    sql.exec("INSERT INTO events (data) VALUES (?)", data);
    const frame = frameOf(data);
    for (const socket of this.ctx.getWebSockets()) socket.send(frame);
    return 1;
  }

  /** Delivery: a stream straight from the object, and nothing written. */
  emit(data: string): number {
    void this.#stream?.write(frameOf(data));
    return 1;
  }

  override fetch(request: Request): Response {
    if (request.headers.get("upgrade") === "websocket") {
      const { 0: client, 1: server } = new WebSocketPair();
      this.ctx.acceptWebSocket(server);
      return new Response(null, { status: 101, webSocket: client });
    }
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    this.#stream = writable.getWriter();
    void this.#stream.write(new TextEncoder().encode(": open\n\n"));
    return new Response(readable, { headers: { "content-type": "text/event-stream" } });
  }

  override alarm(): void {}
}

interface Bindings {
  readonly FLOOR: DurableObjectNamespace<FloorObject>;
}

const app = new Hono<{ Bindings: Bindings }>();
const stub = (env: Bindings, name: string) => env.FLOOR.get(env.FLOOR.idFromName(name));

app.get("/read/:id", async (c) => c.json({ ok: await stub(c.env, c.req.param("id")).noop() }));
app.post("/create", async (c) =>
  c.json({ ok: await stub(c.env, crypto.randomUUID()).create() }, 201),
);
app.post("/publish/:id", async (c) => {
  const { data } = await c.req.json<{ data: string }>();
  return c.json({ ok: await stub(c.env, c.req.param("id")).publish(data) }, 202);
});
app.post("/emit/:id", async (c) => {
  const { data } = await c.req.json<{ data: string }>();
  return c.json({ ok: await stub(c.env, c.req.param("id")).emit(data) }, 202);
});
/** The bridge at its least: frames from the socket to the body, and no timer or bound. */
app.get("/follow/:id", async (c) => {
  const { webSocket } = await stub(c.env, c.req.param("id")).fetch("https://floor/", {
    headers: { upgrade: "websocket" },
  });
  if (!webSocket) return c.text("no socket", 500);
  const readable = new ReadableStream<Uint8Array>({
    start(controller) {
      webSocket.binaryType = "arraybuffer";
      webSocket.addEventListener("message", ({ data }) => {
        if (data instanceof ArrayBuffer) controller.enqueue(new Uint8Array(data));
      });
      webSocket.accept();
      controller.enqueue(new TextEncoder().encode(": open\n\n"));
    },
  });
  return c.body(readable, 200, { "content-type": "text/event-stream" });
});
app.get("/stream/:id", (c) => stub(c.env, c.req.param("id")).fetch("https://floor/"));

export default app;
