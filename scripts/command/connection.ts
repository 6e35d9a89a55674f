/** The service that the command calls: HOLDFAST_URL and HOLDFAST_TOKEN, and for how long it tries. */
import { HoldfastClient } from "../../src/client/client.ts";
import type { HoldfastError } from "../../src/client/error.ts";
import type { HoldfastClientOptions } from "../../src/client/service.ts";
import { OptionError, readNumber } from "../command-line.ts";
import { reasonOf } from "./failure.ts";

/** The address on which `holdfast serve` listens by default. */
const DEFAULT_URL = "http://127.0.0.1:8788";
/** Seconds that a call may take, with the tries after failures that may pass. */
const TIMEOUT_SECONDS = 30;
/** Reasons that another try may change: the connection was there, and was cut. */
const CUT = ["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"];

export interface Connection {
  readonly client: HoldfastClient;
  readonly url: string;
  /** Aborts with the error that the command ends with. */
  readonly signal: AbortSignal;
  /** The service has answered: from now on failures that may pass are waited out. */
  readonly answered: () => void;
}

export interface ConnectionOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `--url` and `--timeout`. */
  readonly url?: string | undefined;
  readonly timeout?: string | undefined;
  /** Aborts when the user ends the command. */
  readonly ended: AbortSignal;
  /** Hears of each failure that is waited out. */
  readonly onWait?: (failure: HoldfastError, waitMs: number) => void;
}

/** Throws an OptionError for a bad address, token or time. */
export function connect({ env, url, timeout, ended, onWait }: ConnectionOptions): Connection {
  const seconds = readNumber("--timeout", timeout, { least: 0.1 }) ?? TIMEOUT_SECONDS;
  const address = url ?? (env["HOLDFAST_URL"] || DEFAULT_URL);
  const giveUp = new AbortController();
  const until = Date.now() + 1000 * seconds;
  let hasAnswered = false;
  const client = clientOf(url === undefined ? "HOLDFAST_URL" : "--url", {
    url: address,
    token: env["HOLDFAST_TOKEN"] || undefined,
    onRetry(failure, waitMs) {
      const reason = failure.status === 0 ? reasonOf(failure) : undefined;
      const isAbsent = reason !== undefined && !CUT.includes(reason);
      const isLate = Date.now() + waitMs > until;
      if (!hasAnswered && (isAbsent || isLate)) giveUp.abort(failure);
      else onWait?.(failure, waitMs);
    },
  });
  return {
    client,
    url: address,
    signal: AbortSignal.any([giveUp.signal, ended]),
    answered: () => (hasAnswered = true),
  };
}

/** The client names its options; a caller of the command knows where their values come from. */
function clientOf(urlFrom: string, options: HoldfastClientOptions): HoldfastClient {
  try {
    return new HoldfastClient(options);
  } catch (failure) {
    if (!(failure instanceof TypeError)) throw failure;
    const { message } = failure;
    const said = message.replace(/^url:/, urlFrom).replace(/^token:/, "HOLDFAST_TOKEN");
    throw new OptionError(said);
  }
}
