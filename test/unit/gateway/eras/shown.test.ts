import { expect, it } from "vitest";
import {
  answerShows,
  discoveryShows,
  isRefusal,
  isSuspect,
} from "../../../../src/gateway/eras/shown.ts";

const json = (member: object) => JSON.stringify({ jsonrpc: "2.0", id: 1, ...member });
const error = (code: number, message = "", data?: object) =>
  json({ error: { code, message, data } });

it.each<[what: string, status: number, text: string | undefined, shows: boolean | undefined]>([
  ["its versions", 200, json({ result: { supportedVersions: ["2026-07-28"] } }), true],
  ["only older versions", 200, json({ result: { supportedVersions: ["2025-11-25"] } }), false],
  ["another result", 200, json({ result: {} }), false],
  ["that it does not know the method", 200, error(-32601), false],
  ["the same with 404", 404, error(-32601), false],
  ["that a session is missing", 400, error(-32000, "No valid session ID provided"), false],
  ["a plain 400", 400, undefined, false],
  ["a plain 405", 405, undefined, false],
  ["-32022 with versions of this era", 400, error(-32022, "", { supported: ["2027-01-01"] }), true],
  ["-32022 with older versions", 400, error(-32022, "", { supported: ["2025-11-25"] }), false],
  ["-32020", 400, error(-32020), true],
  ["a page with 200", 200, undefined, undefined],
  ...[401, 403, 408, 413, 429, 302, 500, 502, 503].map(
    (status): [string, number, string, undefined] => [
      `a ${status}`,
      status,
      error(-32000),
      undefined,
    ],
  ),
])("server/discover: %s", (_what, status, text, shows) => {
  expect(discoveryShows({ status, text })).toBe(shows);
});

it.each<[what: string, status: number, text: string | undefined, shows: boolean | undefined]>([
  ["a result of this era", 200, json({ result: { resultType: "complete" } }), true],
  ["a result of the other one", 200, json({ result: {} }), undefined],
  ["an error of this era", 400, error(-32021), true],
  ["an error of any", 400, error(-32602), undefined],
  ["-32022 with older versions", 400, error(-32022, "", { supported: ["2025-11-25"] }), false],
  ["a 401", 401, error(-32020), undefined],
])("any other request: %s", (_what, status, text, shows) => {
  expect(answerShows("tools/call", { status, text })).toBe(shows);
});

it.each<[what: string, status: number, text: string | undefined, isKnown: boolean, is: boolean]>([
  ["a plain 404", 404, undefined, true, true],
  ["an unknown method, of a server that is known", 404, error(-32601), true, false],
  ["an unknown method, of one that is not", 404, error(-32601), false, true],
  ["a result without a type, of one that is not known", 200, json({ result: {} }), false, true],
  ["a result without a type, of one that is", 200, json({ result: {} }), true, false],
  ["an outage", 503, undefined, false, false],
])("worth a question: %s", (_what, status, text, isKnown, is) => {
  expect(isSuspect({ status, text }, isKnown)).toBe(is);
});

it.each<[what: string, status: number, text: string | undefined, is: boolean]>([
  ["a plain 400", 400, undefined, true],
  ["a session that is missing", 400, error(-32000, "No valid session ID provided"), true],
  ["an unsupported version", 400, error(-32000, "Bad Request: Unsupported protocol version"), true],
  ["a tool's own error", 400, error(-32000, "disk full"), false],
  ["an error with 200", 200, error(-32601), false],
  ["an outage", 503, undefined, false],
])("refused before it was executed: %s", (_what, status, text, is) => {
  expect(isRefusal({ status, text })).toBe(is);
});
