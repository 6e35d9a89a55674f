/** The servers of a suite end when it does, however it ends. */
import { progress } from "./measure.ts";

export interface Stoppable {
  stop(): Promise<void>;
}

/** Takes charge of a server from the moment that it begins to start, and answers what the start answers. */
export type Start = <Server extends Stoppable>(starting: Promise<Server>) => Promise<Server>;

/**
 * Runs with servers, and stops all of them before it settles: those too that were started
 * beside one that failed, and those that come up only after that. A server that cannot be
 * stopped is told of and hides no result and no failure.
 */
export async function withServers<Result>(run: (start: Start) => Promise<Result>): Promise<Result> {
  const starts: Promise<Stoppable>[] = [];
  try {
    return await run((starting) => {
      starts.push(starting);
      return starting;
    });
  } finally {
    for (const start of await Promise.allSettled(starts.map(stopped))) {
      if (start.status === "fulfilled" && start.value) progress(start.value);
    }
  }
}

/** What went wrong with stopping it. A start that failed is whoever asked for it's to tell. */
async function stopped(starting: Promise<Stoppable>): Promise<string | undefined> {
  const server = await starting;
  return server.stop().then(
    () => undefined,
    (failure: unknown) => `a server could not be stopped: ${String(failure)}`,
  );
}
