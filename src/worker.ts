/** The Worker's entry: the fetch handler and the object classes. */
import { env } from "cloudflare:workers";
import { createApp } from "./app.ts";
import { loadConfig, type Environment } from "./config.ts";
import { DurableObjectHost } from "./object/durable-object-host.ts";
import type { SessionObject } from "./object/session-object.ts";

export { SessionObject } from "./object/session-object.ts";

interface Bindings extends Environment {
  readonly SESSIONS: DurableObjectNamespace<SessionObject>;
}

// wrangler.toml binds these; a bad variable throws here, before the first request is taken.
const bindings = env as unknown as Bindings;
const app = createApp(new DurableObjectHost(bindings.SESSIONS), loadConfig(bindings));

export default {
  fetch: (request, _env, ctx) => app.fetch(request, bindings, ctx),
} satisfies ExportedHandler;
