/** The client's types against the schemas of the routes: `tsc` compares them, and a test that runs has no part in it. */
import { expectTypeOf, it } from "vitest";
import type * as z from "zod";
import type * as schemas from "../../../src/http/v1/schemas.ts";
import type * as types from "../../../src/client/types.ts";

/** Without readonly, and with `T | undefined` as an absent member has it in a schema. */
type Loose<T> = T extends readonly (infer Item)[]
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

it("the bodies that it sends are those that the routes take", () => {
  expectTypeOf<Loose<types.NewSession>>().toExtend<Sent<"newSession">>();
  expectTypeOf<keyof types.NewSession>().toEqualTypeOf<keyof Sent<"newSession">>();
  expectTypeOf<Loose<types.SessionPatch>>().toExtend<Sent<"sessionPatch">>();
  expectTypeOf<keyof types.SessionPatch>().toEqualTypeOf<keyof Sent<"sessionPatch">>();
  expectTypeOf<Loose<types.NewEvent>>().toExtend<Sent<"newEvent">>();
  expectTypeOf<keyof types.NewEvent>().toEqualTypeOf<keyof Sent<"newEvent">>();
});

it("the answers that it gives are those that the routes give", () => {
  expectTypeOf<Loose<types.Session>>().toExtend<Given<"session">>();
  expectTypeOf<keyof types.Session>().toEqualTypeOf<keyof Given<"session">>();
  expectTypeOf<Loose<types.EventPage>>().toExtend<Given<"eventPage">>();
  expectTypeOf<keyof types.EventPage>().toEqualTypeOf<keyof Given<"eventPage">>();
  expectTypeOf<Loose<types.Gap>>().toEqualTypeOf<Given<"gap">>();
  expectTypeOf<Loose<types.Ticket>>().toEqualTypeOf<Given<"ticket">>();
  expectTypeOf<Loose<types.StreamEnd>>().toEqualTypeOf<Given<"streamEnd">>();
  expectTypeOf<Loose<types.Published | types.PublishedMany>>().toEqualTypeOf<Given<"published">>();
  expectTypeOf<Loose<types.SessionList>>().toExtend<Given<"sessionList">>();
  expectTypeOf<keyof types.SessionList>().toEqualTypeOf<keyof Given<"sessionList">>();
  expectTypeOf<keyof types.SessionEntry>().toEqualTypeOf<keyof Given<"sessionEntry">>();
  expectTypeOf<Loose<types.SessionCount>>().toExtend<Given<"sessionCount">>();
  expectTypeOf<Loose<types.Revoked>>().toExtend<Given<"revoked">>();
});
