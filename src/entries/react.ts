/** The entry `holdfast/react`: the hook over `holdfast/client`. It needs the package `react`, version 18 or newer. */
export type { SessionStatus, SessionView } from "../react/session-store.ts";
export { useSession } from "../react/use-session.ts";
export type { UsedSession, UseSessionOptions } from "../react/use-session.ts";
