import fc from "fast-check";
import { expect, it } from "vitest";
import { partsOf } from "../../../src/stream/message-parts.ts";

it("cuts a text into parts that make it again, each within the bound and well-formed", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "漢", "😀", "\u0000", "\ufffd") });
  fc.assert(
    fc.property(text, fc.integer({ min: 2, max: 9 }), (data, most) => {
      const parts = partsOf(data, most);
      expect(parts.join("")).toBe(data);
      for (const part of parts) {
        expect(part.length).toBeLessThanOrEqual(most);
        expect(part.length).toBeGreaterThan(0);
        expect(part.isWellFormed()).toBe(true);
      }
    }),
  );
});
