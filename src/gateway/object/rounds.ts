/**
 * Calls that wait for an answer of the client, in SQLite: the server of the stateless era has asked for it
 * and keeps nothing itself. A call takes one row, and each answer takes one, except the last answer of a round.
 * A text that is too large for a row takes several.
 */
import { MAX_PARKED_CALLS, MAX_PARKED_UNITS } from "../../core/limits.ts";
import { partsOf } from "../../stream/message-parts.ts";
import type { Question } from "../eras/results.ts";
import type { RequestId } from "../json-rpc.ts";

const EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'rounds'";
/** Without a rowid a part is one row written; with one its index is a second. */
const CREATE = `CREATE TABLE IF NOT EXISTS rounds (
  exchange INTEGER NOT NULL,
  key TEXT NOT NULL,
  part INTEGER NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY (exchange, key, part)
) WITHOUT ROWID`;
const INSERT = "INSERT INTO rounds (exchange, key, part, data) VALUES (?, ?, ?, ?)";
const SELECT = "SELECT exchange, key, data FROM rounds ORDER BY exchange, key, part";
const SELECT_OF =
  "SELECT exchange, key, data FROM rounds WHERE exchange = ? ORDER BY exchange, key, part";
const SIZE = "SELECT COUNT(*) AS rows, COALESCE(SUM(LENGTH(data)), 0) AS units FROM rounds";
const DELETE = "DELETE FROM rounds WHERE exchange = ? AND key = ?";

const CALL = "call ";
const ANSWER = "answer ";

/** Begins the ids of the questions to the client. */
const QUESTION = "holdfast-ask-";

/** Whether a body may hold the answer to a question. Most bodies are not parsed for it. */
export function mayAnswer(body: string): boolean {
  return body.includes(QUESTION);
}

/** An id that the session never used: a late answer to an earlier question finds nothing. */
export function newQuestionId(): string {
  return QUESTION + crypto.randomUUID();
}

export function isQuestion(id: RequestId): boolean {
  return id.startsWith(`"${QUESTION}`);
}

/** A call that waits. */
export interface ParkedCall {
  /** Its row in `exchanges`. */
  readonly exchange: number;
  /** The id that the client gave it. */
  readonly request: RequestId;
  /** The request, as the client wrote it. */
  readonly body: string;
  /** The server's own note, which it gets back. */
  readonly state?: string | undefined;
  /** Empty: the server wants the gateway to ask again. */
  readonly questions: readonly Question[];
}

/** A call whose questions all have their answers, by the keys that the server gave them. */
export interface AnsweredCall extends ParkedCall {
  /** The client's responses. */
  readonly answers: ReadonlyMap<string, string>;
}

type Row = { exchange: number; key: string; data: string };

export class Rounds {
  readonly #sql: SqlStorage;
  /** Undefined: not looked for yet, or made in a transaction that may have been taken back. */
  #isMade: boolean | undefined;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  get #hasTable(): boolean {
    return (this.#isMade ??= this.#sql.exec(EXISTS).toArray().length > 0);
  }

  /** Whether another call of so many UTF-16 units may wait. */
  hasRoomFor(units: number): boolean {
    if (!this.#hasTable) return true;
    const { rows, units: all } = this.#sql.exec<{ rows: number; units: number }>(SIZE).one();
    return rows === 0 || (rows < MAX_PARKED_CALLS && all + units <= MAX_PARKED_UNITS);
  }

  /** Stores a call, in the calling code's transaction. */
  park(call: ParkedCall): void {
    this.#sql.exec(CREATE);
    this.#isMade = undefined;
    this.#store(call.exchange, CALL + call.request, JSON.stringify(call));
  }

  /** The calls that wait, of all exchanges or of one. */
  parked(exchange?: number): ParkedCall[] {
    return this.#read(exchange).flatMap(({ key, data }) =>
      key.startsWith(CALL) ? [JSON.parse(data) as ParkedCall] : [],
    );
  }

  /** The call that waits for the answer to this question. */
  waitingFor(id: RequestId): ParkedCall | undefined {
    return this.parked().find(({ questions }) => questions.some((question) => question.id === id));
  }

  /**
   * Takes the client's response to a question. If it was the last one, the call waits no more, and is
   * returned with all of them. Otherwise the response is stored; a second one to the same question is not.
   */
  answer(id: RequestId, text: string): AnsweredCall | undefined {
    const call = this.waitingFor(id);
    if (!call) return undefined;
    const { exchange } = call;
    const given = new Map(
      this.#read(exchange).flatMap(({ key, data }) =>
        key.startsWith(ANSWER) ? [[key.slice(ANSWER.length), data] as const] : [],
      ),
    );
    if (given.has(id)) return undefined;
    const answered = [...given, [id, text] as const].filter(([one]) =>
      call.questions.some((question) => question.id === one),
    );
    if (answered.length < call.questions.length) {
      this.#store(exchange, ANSWER + id, text);
      return undefined;
    }
    this.remove(call);
    const texts = new Map(answered);
    const answers = call.questions.map((one) => [one.key, texts.get(one.id) ?? ""] as const);
    return { ...call, answers: new Map(answers) };
  }

  /** The call waits no more. */
  remove({ exchange, request, questions }: ParkedCall): void {
    this.#sql.exec(DELETE, exchange, CALL + request);
    if (questions.length < 2) return;
    for (const { id } of questions) this.#sql.exec(DELETE, exchange, ANSWER + id);
  }

  #store(exchange: number, key: string, data: string): void {
    partsOf(data).forEach((text, part) => this.#sql.exec(INSERT, exchange, key, part, text));
  }

  /** The rows, those of parts put together. */
  #read(exchange: number | undefined): Row[] {
    if (!this.#hasTable) return [];
    const given = exchange === undefined ? [] : [exchange];
    const rows: Row[] = [];
    const select = exchange === undefined ? SELECT : SELECT_OF;
    for (const row of this.#sql.exec<Row>(select, ...given)) {
      const last = rows.at(-1);
      if (last?.exchange === row.exchange && last.key === row.key) last.data += row.data;
      else rows.push({ ...row });
    }
    return rows;
  }
}
