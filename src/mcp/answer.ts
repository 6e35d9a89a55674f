/** The last resort of every handler of the gateway. */
import { describeFailure } from "../logger.ts";
import { SessionError } from "../session/errors.ts";
import { RPC_CODES, type RequestId } from "../session/json-rpc.ts";
import { hostErrorResponse, rpcErrorResponse } from "./answers.ts";
import type { GatewayCall } from "./context.ts";

/** Every failure leaves as a JSON-RPC error, with the id of the request where it has one. */
export async function answer(
  { parts }: GatewayCall,
  id: RequestId | undefined,
  respond: () => Promise<Response>,
): Promise<Response> {
  try {
    return await respond();
  } catch (failure) {
    if (failure instanceof SessionError) {
      if (failure.cause !== undefined) {
        parts.log.warn("request.failed", {
          code: failure.code,
          cause: describeFailure(failure.cause),
        });
      }
      return hostErrorResponse(failure, id);
    }
    parts.log.error("request.crashed", { cause: describeFailure(failure) });
    return rpcErrorResponse(503, RPC_CODES.internalError, "Service unavailable", id);
  }
}
