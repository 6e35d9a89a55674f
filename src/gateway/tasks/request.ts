/** Finds the requests of the stateless revision that concern tasks. It sees the body alone. Pure. */
import { isObject } from "../../wire/json.ts";
import { DISCOVER, LISTEN, META } from "../eras/wire.ts";

/** The identifier of the Tasks extension. */
export const TASKS_EXTENSION = "io.modelcontextprotocol/tasks";

export type TaskVerb = "get" | "update" | "cancel";

/** A request that concerns tasks. `declares`: its client knows of tasks. */
export type TaskRequest =
  | { readonly kind: "discover" }
  | {
      readonly kind: "call";
      readonly declares: boolean;
      readonly tool: unknown;
      /** It has the `task` of 2025-11-25. */
      readonly hasTask: boolean;
    }
  | {
      readonly kind: "verb";
      readonly declares: boolean;
      readonly method: string;
      readonly verb: TaskVerb;
      readonly params: Readonly<Record<string, unknown>>;
    }
  | {
      readonly kind: "listen";
      readonly declares: boolean;
      readonly params: Readonly<Record<string, unknown>>;
      readonly notifications: Readonly<Record<string, unknown>>;
    }
  /** A method of 2025-11-25's tasks. */
  | { readonly kind: "removed" };

const VERBS: Readonly<Record<string, TaskVerb>> = {
  "tasks/get": "get",
  "tasks/update": "update",
  "tasks/cancel": "cancel",
};
const REMOVED = ["tasks/list", "tasks/result"];

/** Undefined: the request does not concern tasks. */
export function taskRequestIn(value: unknown): TaskRequest | undefined {
  if (!isObject(value)) return undefined;
  const { method } = value;
  if (typeof method !== "string" || !("id" in value)) return undefined;
  const params = isObject(value["params"]) ? value["params"] : {};
  if (method === DISCOVER) return { kind: "discover" };
  if (REMOVED.includes(method)) return { kind: "removed" };
  const declares = declaresTasks(params);
  if (method === "tools/call") {
    return { kind: "call", declares, tool: params["name"], hasTask: "task" in params };
  }
  if (method === LISTEN) {
    const { notifications } = params;
    if (!isObject(notifications) || !("taskIds" in notifications)) return undefined;
    return { kind: "listen", declares, params, notifications };
  }
  const verb = Object.hasOwn(VERBS, method) ? VERBS[method] : undefined;
  return verb && { kind: "verb", declares, method, verb, params };
}

function declaresTasks(params: Readonly<Record<string, unknown>>): boolean {
  const meta = params["_meta"];
  const capabilities = isObject(meta) ? meta[META.clientCapabilities] : undefined;
  const extensions = isObject(capabilities) ? capabilities["extensions"] : undefined;
  return isObject(extensions) && isObject(extensions[TASKS_EXTENSION]);
}
