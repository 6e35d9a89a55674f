/** The gateway's own answer to the client, where the upstream gave none that can be passed on. */
export interface Failure {
  /** HTTP status, if the answer has not begun as a stream. */
  readonly status: number;
  readonly code: number;
  readonly message: string;
  /** Headers of the upstream for the client, such as `Retry-After` and `WWW-Authenticate`. */
  readonly headers?: Readonly<Record<string, string>>;
}
