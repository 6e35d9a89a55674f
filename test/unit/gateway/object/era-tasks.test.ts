/** Answers that a task is still to store: what becomes of them if it does not. */
import { expect, it } from "vitest";
import type { EraRequest, ExchangeRequest } from "../../../../src/gateway/contract.ts";
import { taskCallId } from "../../../../src/gateway/eras/task-call-id.ts";
import { EraCallLog } from "../../../../src/gateway/object/era-call-log.ts";
import type { EraStates } from "../../../../src/gateway/object/era-states.ts";
import { EraTasks } from "../../../../src/gateway/object/era-tasks.ts";
import type { OpenExchange } from "../../../../src/gateway/object/exchange-table.ts";
import type { GatewayStreams } from "../../../../src/gateway/object/streams.ts";
import type { UpstreamLink } from "../../../../src/gateway/object/upstream-link.ts";

const CALL = taskCallId("t");
const TEXT = `{"jsonrpc":"2.0","id":${CALL},"result":{}}`;
const ROW: OpenExchange = { id: 2, stream: 2, asked: [CALL], pending: [CALL], upstreamId: "e1" };
const REQUEST = { pending: [CALL], headers: {} } as unknown as ExchangeRequest;
const ERA: EraRequest = {
  id: "1",
  method: "tools/call",
  capabilities: {},
  inputResponses: {},
  slot: "",
};

/** The calls of tasks of a session. `rows` are its calls that are not over, of which no other life of it has one under way. */
function tasksWith({ isFull = false, rows = [] }: { isFull?: boolean; rows?: OpenExchange[] }) {
  const happened: string[] = [];
  let due: (() => void) | undefined;
  const say: GatewayStreams["say"] = (row, texts) => {
    if (isFull && texts.length > 0) throw new Error("the disk is full");
    happened.push(`said ${texts.length}`);
    rows.splice(rows.indexOf(row), 1);
  };
  const streams = { say, lastSeq: 0, openExchanges: () => rows } as unknown as GatewayStreams;
  const timer = {
    after: (_ms: number, work: () => void) => {
      due = work;
      return () => (due = undefined);
    },
  };
  const tasks = new EraTasks({
    link: { timer, streams, upstream: { name: "u" } } as unknown as UpstreamLink,
    states: { leave: () => undefined, callOf: () => undefined } as unknown as EraStates,
    isRunning: () => false,
    doubt: { givenUp: () => void happened.push("in doubt") },
    sender: { post: () => void happened.push("posted") },
    cancel: () => undefined,
    wakeTask: async (...about) => void happened.push(`woke ${about.join(" ")}`),
  });
  const give = () => tasks.give(CALL, TEXT, "t", new EraCallLog(CALL, streams, rows[0]));
  return { tasks, happened, give, timeUp: () => due?.(), isDue: () => due !== undefined };
}

it("closes the call once the task has its answer, and not before", () => {
  const { tasks, happened, give, isDue } = tasksWith({ rows: [ROW] });
  give();
  expect([happened, tasks.isUntaken(CALL)]).toEqual([[], true]);
  tasks.taken(REQUEST, ERA);
  expect([happened, tasks.isUntaken(CALL), isDue()]).toEqual([["said 0"], false, false]);
});

it("closes the call of an earlier life of the object, of which a task says that it has the answer", () => {
  const rows = [ROW];
  const { tasks, happened } = tasksWith({ rows });
  tasks.taken(REQUEST, ERA);
  expect([happened, rows]).toEqual([["said 0"], []]);
});

it("forgets the answer to a task that is cancelled, and tells a server that has answered nothing", () => {
  const { tasks, happened, give, isDue } = tasksWith({ rows: [ROW] });
  give();
  tasks.cancel(REQUEST, ERA);
  expect([happened, tasks.isUntaken(CALL), isDue()]).toEqual([["said 0"], false, false]);
});

it("logs an answer that no task takes, has the task come, and keeps the text only where that cannot be stored", () => {
  const logged = tasksWith({ rows: [ROW] });
  logged.give();
  logged.timeUp();
  expect(logged.happened).toEqual(["said 1", "woke u t"]);
  expect([logged.tasks.isUntaken(CALL), logged.tasks.untaken(CALL)]).toEqual([true, undefined]);
  const full = tasksWith({ rows: [ROW], isFull: true });
  full.give();
  expect(full.timeUp).toThrow("full");
  expect([full.happened, full.tasks.untaken(CALL)]).toEqual([["woke u t"], TEXT]);
});
