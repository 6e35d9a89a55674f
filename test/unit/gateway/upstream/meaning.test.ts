/** The meaning of each answer of an upstream, row by row. */
import { expect, it } from "vitest";
import {
  meaningOf,
  type Heard,
  type Meaning,
  type Question,
} from "../../../../src/gateway/upstream/meaning.ts";

const CALL: Question = { pending: ["7"], mayBeLost: true, forwardAuthorization: false };
const NOTE: Question = { ...CALL, pending: [] };

const errorOf = (id: string, code: number, message = "Bad") =>
  `{"jsonrpc": "2.0", ${id === "" ? "" : `"id": ${id}, `}"error": {"code": ${code}, "message": "${message}"}}`;
const RESULT = '{"jsonrpc": "2.0", "id": 7, "result": {"price": 1.0}}';
const LOST = "Session not found";

/** In a word: `answer 200`, `failed 502`, `accepted`, or `ask, else …`. */
function inWords(meaning: Meaning): string {
  switch (meaning.kind) {
    case "accepted":
      return "accepted";
    case "answer":
      return `answer ${meaning.status}`;
    case "failed":
      return `failed ${meaning.failure.status}`;
    case "doubt":
      return `ask, else ${inWords(meaning.otherwise)}`;
  }
}

const heard = (status: number, text?: string): Heard => ({
  status,
  text,
  retryAfter: "7",
  challenge: "Bearer x",
});

it.each<[status: number, text: string | undefined, meaning: string]>([
  [200, RESULT, "answer 200"],
  [200, `[${RESULT}]`, "answer 200"],
  [200, errorOf("7", -32001, LOST), "answer 200"],
  [200, errorOf('"7"', -32001, LOST), "answer 200"],
  [200, errorOf("null", -32000), "ask, else answer 200"],
  [200, errorOf('"server-error"', -32000), "ask, else answer 200"],
  [200, RESULT.replace("7", "8"), "failed 502"],
  [200, "{}", "failed 502"],
  [200, "[]", "failed 502"],
  [202, undefined, "failed 502"],
  [302, RESULT, "failed 502"],
  [307, errorOf("7", -32000), "failed 502"],
  [400, errorOf("7", -32602), "answer 200"],
  [400, errorOf("7", -32000, "Your checkout session is over"), "ask, else answer 200"],
  [400, errorOf("7", -32050, "Your checkout session is over"), "answer 200"],
  [400, errorOf("7", -32602, "Server not initialised"), "ask, else answer 200"],
  [400, errorOf("", -32602), "ask, else answer 200"],
  [400, undefined, "ask, else failed 502"],
  [400, '{"error": "no session"}', "ask, else failed 502"],
  [401, undefined, "ask, else failed 502"],
  [401, errorOf("7", -32050), "ask, else failed 502"],
  [401, errorOf("null", -32000), "ask, else failed 502"],
  [403, undefined, "failed 403"],
  [403, errorOf("null", -32000), "answer 403"],
  [404, errorOf("7", -32601), "answer 200"],
  [404, errorOf("7", -32001), "ask, else answer 200"],
  [404, errorOf("8", -32601), "ask, else answer 200"],
  [404, undefined, "ask, else failed 502"],
  [402, undefined, "failed 502"],
  [405, undefined, "failed 502"],
  [405, errorOf("null", -32000), "answer 200"],
  [408, undefined, "failed 502"],
  [409, undefined, "ask, else failed 502"],
  [409, errorOf("7", -32050), "answer 200"],
  [410, undefined, "ask, else failed 502"],
  [413, undefined, "failed 502"],
  [422, "Unexpected message, expect initialize request", "ask, else failed 502"],
  [422, errorOf("7", -32000, LOST), "ask, else answer 200"],
  [422, errorOf("7", -32602, "No such tool"), "answer 200"],
  [422, errorOf("8", -32602), "ask, else answer 200"],
  [440, undefined, "ask, else failed 502"],
  [429, undefined, "failed 429"],
  [429, errorOf("null", -32000), "answer 429"],
  [500, errorOf("7", -32603), "answer 200"],
  [500, undefined, "failed 502"],
  [503, errorOf("7", -32603, LOST), "answer 503"],
  [503, undefined, "failed 503"],
])("%i with %s", (status, text, meaning) => {
  expect(inWords(meaningOf(CALL, heard(status, text)))).toBe(meaning);
  const unasked = meaningOf({ ...CALL, mayBeLost: false }, heard(status, text));
  expect(inWords(unasked)).toBe(meaning.replace("ask, else ", ""));
});

it.each<[status: number, text: string | undefined, meaning: string]>([
  [200, undefined, "accepted"],
  [202, undefined, "accepted"],
  [204, undefined, "accepted"],
  [302, undefined, "failed 502"],
  [400, undefined, "ask, else failed 502"],
  [404, undefined, "ask, else failed 502"],
  [403, undefined, "failed 403"],
  [429, undefined, "failed 429"],
  [500, undefined, "failed 502"],
  [400, errorOf("null", -32600), "ask, else failed 502"],
  [404, errorOf("7", -32601), "ask, else failed 502"],
  [405, errorOf("", -32000), "failed 502"],
  [422, errorOf('"server-error"', -32600), "ask, else failed 502"],
  [429, errorOf("null", -32000), "failed 429"],
  [500, errorOf("null", -32603), "failed 502"],
])("%i with %s to a notification", (status, text, meaning) => {
  expect(inWords(meaningOf(NOTE, heard(status, text)))).toBe(meaning);
});

it("401 to the client's own credential is for the client, with how to get another", () => {
  const trusted = { ...CALL, forwardAuthorization: "authorization" };
  for (const text of [undefined, errorOf("null", -32000, LOST)]) {
    const meaning = meaningOf(trusted, heard(401, text));
    expect(inWords(meaning)).toMatch(/^(failed|answer) 401$/);
    expect(JSON.stringify(meaning)).toContain('"www-authenticate":"Bearer x"');
  }
  expect(JSON.stringify(meaningOf(CALL, heard(403)))).not.toContain("www-authenticate");
});

it("puts the client's own id into an error about nothing, and changes nothing else", () => {
  for (const id of ["null", "", '"other"']) {
    const meaning = meaningOf({ ...CALL, mayBeLost: false }, heard(400, errorOf(id, -32602)));
    const [message] = meaning.kind === "answer" ? meaning.messages : [];
    expect(JSON.parse(message?.text ?? "")).toEqual(JSON.parse(errorOf("7", -32602)));
  }
  const own = errorOf("7", -32602);
  expect(meaningOf(CALL, heard(400, own))).toMatchObject({ messages: [{ text: own }] });
});

it("an error for a whole batch answers each of its requests", () => {
  const batch = { ...CALL, pending: ["7", '"a"'], mayBeLost: false };
  const meaning = meaningOf(batch, heard(500, errorOf("null", -32603)));
  const messages = meaning.kind === "answer" ? meaning.messages : [];
  expect(messages.map(({ text }) => (JSON.parse(text) as { id: unknown }).id)).toEqual([7, "a"]);
});
