/**
 * The project's own Worker: the service and nothing else, with the demo server as its upstream, on a
 * machine that `npm run serve` shows it.
 */
import { env } from "cloudflare:workers";
import { AUTH_VARIABLES } from "./auth/settings.ts";
import { refuseMisspelt } from "./config/names.ts";
import { CONFIG_VARIABLES } from "./config/service.ts";
import { namesInUpstreams } from "./config/upstreams.ts";
import { holdfastOn } from "./embed/create-holdfast.ts";
import { machineOf } from "./embed/machine.ts";
import { demoServer } from "./gateway/demo/demo.ts";

const holdfast = holdfastOn<typeof env>({ machineOf, demo: demoServer() }, {});
// A bad variable throws here, before the Worker takes a request. (In an app, a name that is like one of
// ours may be the app's own, so this is not done there.)
refuseMisspelt(env, [...CONFIG_VARIABLES, ...AUTH_VARIABLES], namesInUpstreams(env));
holdfast.sessions(env);

export const { SessionObject, DirectoryObject } = holdfast;

export default {
  fetch: (request) => holdfast.fetch(request, env),
} satisfies ExportedHandler;
