/**
 * `follow` against the model of a stream: connections are cut at any byte, refused in every way that
 * passes, and the log goes on and is trimmed in between.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { HoldfastClient } from "../../../src/client/client.ts";
import { encodeFrame } from "../../../src/wire/sse-frame.ts";
import {
  away,
  problem,
  refusal,
  ScriptedService,
  stream,
  TestTiming,
  type Asked,
  type Step,
} from "../../support/scripted-service.ts";
import { NAME, StreamModel } from "../../support/stream-model.ts";

/** A connection of the client. */
type Visit =
  | { readonly kind: "refused"; readonly how: number }
  | {
      readonly kind: "answered";
      /** Data of the events that are published before it. */
      readonly published: readonly string[];
      /** Bytes in each chunk. */
      readonly chunk: number;
      /** Bytes after which it is cut; it ends by itself if it has fewer. */
      readonly cut: number;
      readonly breaks: boolean;
    };

const REFUSALS: readonly Step[] = [
  away,
  refusal(429, "too_many_writers", { "retry-after": "5" }),
  refusal(503, "unavailable"),
  refusal(401, "unauthorized"),
  () => new Response("Bad gateway", { status: 502 }),
];

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.constantFrom(
    "two\nlines",
    "\n\n",
    "drei €",
    "data: x\nid: fake",
    ": comment",
    "\u{1F600}",
    "",
  ),
);

const visit: fc.Arbitrary<Visit> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("refused"), how: fc.nat(4) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("answered"),
      published: fc.array(text, { maxLength: 6 }),
      chunk: fc.integer({ min: 1, max: 40 }),
      cut: fc.nat(400),
      breaks: fc.boolean(),
    }),
  },
) as fc.Arbitrary<Visit>;

/** SSE has no CR and no NUL of its own in data: CR ends a line, as LF does. */
const asSent = (data: string) => data.toWellFormed().replaceAll(/\r\n?/g, "\n");

const idOf = (n: number) => `e${n + 1}`;

/** Answers as the service does (docs/delivery.md). */
class Log {
  readonly model = new StreamModel({ maxEvents: 8, maxBytes: 300 });
  isEnded = false;

  publish(texts: readonly string[]): void {
    const { next } = this.model;
    const data = texts.map((one, n) => asSent(`${next + n} ${one}`));
    if (data.length > 0)
      this.model.add(
        data.map((_, n) => idOf(next + n)),
        data,
      );
  }

  answer({ headers }: Asked): Uint8Array {
    const { events, first, next } = this.model;
    const asked = headers.get("last-event-id");
    const from = asked === null ? 0 : asked === "end" ? next : Number(asked.slice(1));
    const earliest = events[first]?.id ?? null;
    const opening =
      from < first
        ? encodeFrame({
            event: "gap",
            data: JSON.stringify({ requested: asked, earliest }),
            id: `e${first}`,
          })
        : encodeFrame({ retry: 1000, id: asked ?? "e0" });
    const frames = events
      .slice(Math.max(from, first))
      .map(({ id, data }) => encodeFrame({ event: NAME, data, id }) + ": keep-alive\n");
    const end = this.isEnded ? encodeFrame({ event: "ended", data: "{}", id: "end" }) : "";
    return new TextEncoder().encode(opening + frames.join("") + end);
  }
}

function chunksOf(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) =>
    bytes.subarray(n * size, (n + 1) * size),
  );
}

it("every event comes once, in order, but for those that a gap says are missing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(visit, { maxLength: 12 }), async (visits) => {
      const log = new Log();
      let refusedBefore = false;
      const steps = visits.map((one): Step => {
        if (one.kind === "refused") {
          return (asked) => {
            // A second 401 in a row would be the end.
            const step = REFUSALS[refusedBefore ? 0 : one.how]!;
            refusedBefore = true;
            return step(asked);
          };
        }
        return (asked) => {
          refusedBefore = false;
          log.publish(one.published);
          const bytes = log.answer(asked).subarray(0, one.cut);
          return stream(chunksOf(bytes, one.chunk), one.breaks ? "break" : "end")(asked);
        };
      });
      const last: Step = (asked) => {
        log.publish(["last"]);
        log.isEnded = true;
        return stream(chunksOf(log.answer(asked), 7))(asked);
      };
      const { fetch } = new ScriptedService(...steps, last, () => problem(400, "too_late"));
      const options = { url: "https://h.example", token: () => "t", fetch };
      const received: string[] = [];
      for await (const item of new HoldfastClient(options, new TestTiming()).follow("s")) {
        if (item.type === "event") {
          expect([item.event, item.id]).toEqual([NAME, log.model.events[parseInt(item.data)]?.id]);
          received.push(item.data);
        } else received.push(item.type === "gap" ? "gap" : item.reason);
      }
      log.model.checkResumed(received, 0);
    }),
    { numRuns: 500 },
  );
});
