/** The id of a task's call at a server that keeps sessions. Pure. */
import type { RequestId } from "../json-rpc.ts";

const PREFIX = '"task-';

/** A task that comes back for its call finds it by this id, as JSON. */
export function taskCallId(taskId: string): RequestId {
  return JSON.stringify(`task-${taskId}`);
}

export function isTaskCall(id: RequestId): boolean {
  return id.startsWith(PREFIX);
}
