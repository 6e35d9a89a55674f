/** The tools that each of our servers offers, through its own framework. */
import { setTimeout as delay } from "node:timers/promises";

export const INFO = { name: "matrix", version: "1.0.0" };

export const text = (said) => ({ content: [{ type: "text", text: said }] });

export const port = Number(process.argv[2]);

/** Tells of each step, and answers after the last one. */
export async function count({ steps, ms }, progress) {
  for (let step = 1; step <= steps; step++) {
    await delay(ms / steps);
    await progress(step, steps);
  }
  return `counted to ${steps}`;
}
