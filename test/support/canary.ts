/** Marks content that tests put into sessions, requests and secrets, and that no log may hold. */
export const CANARY = "canary-5e7a1f";
