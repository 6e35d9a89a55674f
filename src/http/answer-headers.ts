/**
 * The headers that restrain browsers and caches, which every answer has: those of OWASP's REST Security
 * Cheat Sheet, and `Referrer-Policy`, because a URL may hold a ticket. An answer that is no page of the
 * service loads nothing if a browser shows it as one. No answer shows in a frame.
 */
import { PAGE_POLICY } from "./pages.ts";

const EVERYWHERE = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-frame-options": "DENY",
};

const OF_PAGES = {
  ...EVERYWHERE,
  "content-security-policy": PAGE_POLICY,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** Kept: the platform copies all of them in less time than it takes to set one after another. */
const OF_JSON = new Headers({
  ...EVERYWHERE,
  "content-type": "application/json",
  "cache-control": "no-store",
});

/** A member of an answer that has the headers already. */
const HARDENED = Symbol("hardened");
type Hardened = Response & { [HARDENED]?: true };

/** Makes an answer of JSON, with `more` headers. */
export function jsonAnswer(
  json: string,
  status = 200,
  more: Readonly<Record<string, string>> = {},
): Response {
  const answer: Hardened = new Response(json, { status, headers: OF_JSON });
  for (const [name, value] of Object.entries(more)) answer.headers.set(name, value);
  answer[HARDENED] = true;
  return answer;
}

/** Returns the answer with the headers, or a copy of it: those of an upstream's answer are immutable. */
export function hardened(answer: Response, isPage = false): Response {
  if ((answer as Hardened)[HARDENED]) return answer;
  const headers = isPage ? OF_PAGES : EVERYWHERE;
  try {
    return withHeaders(answer, headers);
  } catch {
    return withHeaders(new Response(answer.body, answer), headers);
  }
}

function withHeaders(answer: Response, headers: Readonly<Record<string, string>>): Response {
  for (const [name, value] of Object.entries(headers)) answer.headers.set(name, value);
  if (!answer.headers.get("cache-control")?.startsWith("no-store")) {
    answer.headers.set("cache-control", "no-store");
  }
  return answer;
}
