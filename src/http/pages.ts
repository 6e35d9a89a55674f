/**
 * The pages for people: files that lie beside the Worker, which never parses them. They are static
 * and hold no data, so they need no credential; they ask the API for all that they show.
 */
import type { Context } from "hono";
import { SessionError, UnavailableError } from "../core/errors.ts";

declare module "hono" {
  interface ContextVariableMap {
    /** The answer is one of the pages, which a browser may show and run. */
    isPage: true;
  }
}

/** Answers with a file of the folder `src/console` is built into, or with 404. May reject. */
export type PageFiles = (path: string) => Promise<Response>;

const TEXT = "text/plain; charset=utf-8";

/** Media types by the end of a file's name. */
const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  // Browsers would save text/markdown instead of showing it.
  md: TEXT,
};

/** The files by their paths. That of the documents names one of them. */
export const PAGES: Readonly<Record<string, string>> = {
  "/": "index.html",
  "/console": "console.html",
  "/console/console.js": "console.js",
  "/console/console.css": "console.css",
  "/console/icon.svg": "icon.svg",
  "/docs/:name": "docs/",
};

/**
 * Nothing inline, nothing of another host, in no frame, and no text becomes markup (OWASP's Content
 * Security Policy Cheat Sheet).
 */
export const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

/** Answers with a page. Throws a SessionError: `not_found` for a document that is not there, `unavailable` if the files cannot be read. */
export async function answerPage(c: Context, file: string, files: PageFiles): Promise<Response> {
  const name = file.endsWith("/") ? documentIn(file, c.req.param("name") ?? "") : file;
  const found = await files(name).catch((cause: unknown) => {
    throw new UnavailableError("The page cannot be read.", { cause });
  });
  if (found.status === 404 && name !== file) throw noDocument();
  if (!found.ok) throw new UnavailableError(`The page cannot be read: ${found.status}.`);
  c.set("isPage", true);
  const type = TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? TEXT;
  return new Response(found.body, { headers: { "content-type": type } });
}

function documentIn(folder: string, name: string): string {
  if (!/^[\w-]+\.md$/.test(name)) throw noDocument();
  return folder + name;
}

function noDocument(): SessionError {
  return new SessionError("not_found", "There is no such document.");
}
