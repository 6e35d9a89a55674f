/** Loads that a suite prepares once and repeats in rounds. */
import type { DeliveryPlan } from "./client/delivery.ts";
import type { RequestPlan } from "./client/requests.ts";
import { delivery, requests } from "./load-client.ts";
import type { Load } from "./measure.ts";
import { callLoad, INITIALIZE_LOAD, openSessions } from "./peers/mcp-sessions.ts";
import { startUpstream } from "./peers/gateways/start.ts";
import { makeSession, type Server, type Start } from "./servers.ts";

/** Requests under way at a time, unless a load gives another number. */
export const CONNECTIONS = 16;
/** Characters of an event besides its number. */
export const PADDING = 100;
const SESSIONS = 50;

type Served = Pick<Server, "url">;
type Requested = Omit<RequestPlan, "url" | "connections" | "seconds">;

export function requesting({ url }: Served, plan: Requested, connections = CONNECTIONS): Load {
  return (seconds) => requests({ ...plan, url, connections, seconds });
}

/** Where events are published and followed. */
export type Channel = Pick<DeliveryPlan, "followPath" | "publishPath"> & {
  /** Where a client comes back, if not by `followPath`. */
  readonly resumePath?: string;
};
type Delivered = Pick<DeliveryPlan, "body" | "subscribers" | "publishers">;

/** Publishes and follows events. Each run uses a new channel. */
export function delivering(
  { url }: Served,
  plan: Delivered,
  channel: () => Channel | Promise<Channel>,
): Load {
  return async (seconds) =>
    delivery({ ...plan, ...(await channel()), url, seconds, padding: PADDING });
}

/** A new session's events. */
export async function newEvents(server: Served): Promise<Channel> {
  const path = `/v1/sessions/${await makeSession(server)}/events`;
  return { followPath: path, publishPath: path };
}

export const EVENT = '{"data":"$"}';

function publishing(server: Served, subscribers: number): Load {
  const plan = { body: EVENT, subscribers, publishers: CONNECTIONS };
  return delivering(server, plan, () => newEvents(server));
}

async function calling(server: Served): Promise<Load> {
  const sessions = await openSessions(`${server.url}/mcp`, SESSIONS);
  return requesting(server, { ...callLoad(sessions), paths: ["/mcp"] });
}

/** The loads of `profile.ts` and `compare.ts`, by name. `gateway` needs the settings of `envFor`. */
export const LOADS: Readonly<Record<string, (server: Served) => Load | Promise<Load>>> = {
  async read(server) {
    const ids = await Promise.all(Array.from({ length: SESSIONS }, () => makeSession(server)));
    return requesting(server, { method: "GET", paths: ids.map((id) => `/v1/sessions/${id}`) });
  },
  create: (server) => requesting(server, { method: "POST", paths: ["/v1/sessions"], body: "{}" }),
  initialize: (server) => requesting(server, { ...INITIALIZE_LOAD, paths: ["/mcp"] }),
  call: calling,
  gateway: calling,
  publish: (server) => publishing(server, 1),
  "fan-out": (server) => publishing(server, 100),
};

/** The service's settings for a load. Starts the server behind the gateway if the load needs one. */
export async function envFor(kind: string, start: Start): Promise<Record<string, string>> {
  if (kind !== "gateway") return { MAX_WRITERS: "1000" };
  const { url } = await start(startUpstream());
  return { UPSTREAMS: JSON.stringify({ default: { url } }) };
}
