import { ProxySession } from "../../src/library/model/session.ts";

/** A session that can be told from others of the same id. */
export function sessionWith(id: string, value: string): ProxySession {
  const session = new ProxySession(id);
  session.setMetadata("value", value);
  return session;
}
