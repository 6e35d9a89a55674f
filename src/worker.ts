/** The Worker's entry: the fetch handler and the object classes. */
import { env } from "cloudflare:workers";
import { createApp } from "./app.ts";
import { loadConfig, type Environment } from "./config.ts";
import { directoryOf } from "./object/directory-binding.ts";
import { DurableObjectHost } from "./object/durable-object-host.ts";
import type { SessionObject } from "./object/session-object.ts";

export { DirectoryObject } from "./directory/directory-object.ts";
export { SessionObject } from "./object/session-object.ts";

interface Bindings extends Environment {
  readonly SESSIONS: DurableObjectNamespace<SessionObject>;
}

// wrangler.toml binds these; a bad variable throws here, before the first request is taken.
const bindings = env as unknown as Bindings;
const config = loadConfig(bindings);
const host = new DurableObjectHost(bindings.SESSIONS, {
  directory: directoryOf(bindings, config),
  maxSessionsPerSubject: config.maxSessionsPerSubject,
});
const app = createApp(host, config);

export default {
  fetch: (request, _env, ctx) => app.fetch(request, bindings, ctx),
} satisfies ExportedHandler;
