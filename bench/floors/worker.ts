/**
 * The floor: the least that this runtime can do for each job, without a session service. The
 * difference between Holdfast and the floor is Holdfast's own cost.
 */
import { DurableObject } from "cloudflare:workers";
import { Hono } from "hono";

const frameOf = (data: string) => new TextEncoder().encode(`data: ${data}\n\n`);

type Bindings = {
  readonly FLOOR: DurableObjectNamespace<FloorObject>;
  readonly OUTBOUND: Fetcher;
};

const JSON_TYPE = { "content-type": "application/json" };
const MCP_HEADERS = { ...JSON_TYPE, accept: "application/json, text/event-stream" };

export class FloorObject extends DurableObject<Bindings> {
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

  /** Gateway calls: one request to the server. */
  async ask(url: string, body: string): Promise<string> {
    const init = { method: "POST", body, headers: MCP_HEADERS };
    return (await this.env.OUTBOUND.fetch(url, init)).text();
  }

  /** Publish: one row, and one message to a hibernatable socket. */
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

  /** Delivery: a stream straight from the object, and no row. */
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

const app = new Hono<{ Bindings: Bindings }>();
const stub = (env: Bindings, name: string) => env.FLOOR.get(env.FLOOR.idFromName(name));

app.get("/read/:id", async (c) => c.json({ ok: await stub(c.env, c.req.param("id")).noop() }));
app.post("/create", async (c) =>
  c.json({ ok: await stub(c.env, crypto.randomUUID()).create() }, 201),
);
app.post("/ask/:id", async (c) => {
  const object = stub(c.env, c.req.param("id"));
  return c.body(await object.ask(c.req.query("url") ?? "", await c.req.text()), 200, JSON_TYPE);
});
for (const job of ["publish", "emit"] as const) {
  app.post(`/${job}/:id`, async (c) => {
    const { data } = await c.req.json<{ data: string }>();
    return c.json({ ok: await stub(c.env, c.req.param("id"))[job](data) }, 202);
  });
}
/** The least bridge: frames go from the socket to the body, without timers or bounds. */
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
