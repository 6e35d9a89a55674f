/** The types of the API against the schemas of the routes. `tsc` compares them; running the test proves nothing. */
import { expectTypeOf, it } from "vitest";
import type * as z from "zod";
import type * as api from "../../../src/core/api.ts";
import type * as schemas from "../../../src/http/v1/schemas.ts";

/** Members alone: a schema says that one may be undefined, a type that it may be absent. */
type Members<T> = { readonly [K in keyof T]-?: Exclude<T[K], undefined> };

/** Without readonly, and with `T | undefined` as an absent member has it in a schema. */
type Loose<T> = T extends string
  ? T
  : T extends readonly (infer Item)[]
    ? Loose<Item>[]
    : T extends object
      ? { -readonly [Key in keyof T]: Loose<T[Key]> }
      : T;

type Sent<Schema extends keyof typeof schemas> = (typeof schemas)[Schema] extends z.ZodType
  ? z.input<(typeof schemas)[Schema]>
  : never;
type Given<Schema extends keyof typeof schemas> = (typeof schemas)[Schema] extends z.ZodType
  ? z.output<(typeof schemas)[Schema]>
  : never;

it("the bodies are those that the routes take", () => {
  expectTypeOf<Loose<api.NewSession>>().toExtend<Sent<"newSession">>();
  // In both directions, so that a schema which takes more than the type says is found.
  expectTypeOf<Members<z.output<typeof schemas.newSession>>>().toExtend<Members<api.NewSession>>();
  expectTypeOf<keyof api.NewSession>().toEqualTypeOf<keyof Sent<"newSession">>();
  expectTypeOf<Loose<api.SessionPatch>>().toExtend<Sent<"sessionPatch">>();
  expectTypeOf<keyof api.SessionPatch>().toEqualTypeOf<keyof Sent<"sessionPatch">>();
  expectTypeOf<Loose<api.NewEvent>>().toExtend<Sent<"newEvent">>();
  expectTypeOf<keyof api.NewEvent>().toEqualTypeOf<keyof Sent<"newEvent">>();
});

it("the answers are those that the routes give", () => {
  expectTypeOf<Loose<api.Session>>().toExtend<Given<"session">>();
  expectTypeOf<Members<Given<"session">>>().toExtend<Members<api.Session>>();
  expectTypeOf<keyof api.Session>().toEqualTypeOf<keyof Given<"session">>();
  expectTypeOf<Loose<api.EventPage>>().toExtend<Given<"eventPage">>();
  expectTypeOf<keyof api.EventPage>().toEqualTypeOf<keyof Given<"eventPage">>();
  expectTypeOf<Loose<api.Gap>>().toEqualTypeOf<Given<"gap">>();
  expectTypeOf<Loose<api.Ticket>>().toEqualTypeOf<Given<"ticket">>();
  expectTypeOf<Loose<api.StreamEnd>>().toEqualTypeOf<Given<"streamEnd">>();
  expectTypeOf<Loose<api.Published | api.PublishedMany>>().toEqualTypeOf<Given<"published">>();
  expectTypeOf<Loose<api.SessionList>>().toExtend<Given<"sessionList">>();
  expectTypeOf<keyof api.SessionList>().toEqualTypeOf<keyof Given<"sessionList">>();
  expectTypeOf<keyof api.SessionEntry>().toEqualTypeOf<keyof Given<"sessionEntry">>();
  expectTypeOf<keyof api.SessionCount>().toEqualTypeOf<keyof Given<"sessionCount">>();
  expectTypeOf<keyof api.Revoked>().toEqualTypeOf<keyof Given<"revoked">>();
  expectTypeOf<Loose<api.SessionCount>>().toExtend<Given<"sessionCount">>();
  expectTypeOf<Loose<api.Revoked>>().toExtend<Given<"revoked">>();
});
