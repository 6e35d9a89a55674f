import { expect, it } from "vitest";
import { endAll } from "../../soak/endings.ts";

it("ends all, the last first, and then tells the first failure", async () => {
  const ended: number[] = [];
  const ending = (n: number, fails: boolean) => async () => {
    ended.push(n);
    if (fails) throw new Error(`${n} failed`);
  };
  const endings = [ending(1, false), ending(2, true), ending(3, true), ending(4, false)];
  await expect(endAll(endings)).rejects.toThrow("3 failed");
  expect(ended).toEqual([4, 3, 2, 1]);
});
