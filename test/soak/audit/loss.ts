/** A broken promise. */
export interface Loss {
  readonly kind:
    | "event lost"
    | "id given twice"
    | "published twice"
    | "event repeated"
    | "event out of order"
    | "event never published"
    | "event not durable"
    | "publish torn"
    | "gap without cause"
    | "stream ended"
    | "stream left open"
    | "end lost"
    | "end changed"
    | "session lost"
    | "session resurrected"
    | "session left over"
    | "write lost"
    | "listing wrong"
    | "call lost"
    | "step lost"
    | "step repeated"
    | "answer not allowed";
  /** A session, a subscriber, a record or a call. */
  readonly where: string;
  readonly detail: string;
}
