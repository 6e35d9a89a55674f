/**
 * A fuzzer over real HTTP, against plain workerd with AUTH=token. FUZZ_REQUESTS runs more requests,
 * and FUZZ_SEED repeats a run. `npm run attack -- --fuzz` runs it for longer, and watches what the
 * process takes.
 */
import { expect, it } from "vitest";
import { Fuzz } from "../support/fuzz/fuzz.ts";
import { Service } from "../support/service.ts";

const REQUESTS = Number(process.env["FUZZ_REQUESTS"] ?? 4_000);
/** They bound what hangs: a busy machine answers a hundred requests a second. */
const SECONDS = 60 + REQUESTS / 50;
const SEED = Number(process.env["FUZZ_SEED"] ?? Date.now() % 1_000_000);

it(
  `finds nothing in ${REQUESTS} requests (seed ${SEED})`,
  { timeout: 1000 * (SECONDS + 60) },
  async () => {
    const fuzz = await Fuzz.make();
    const service = await Service.start({ ...fuzz.env, LOG_LEVEL: "debug" });
    const { pid } = service;
    const options = { requests: REQUESTS, seconds: SECONDS, seed: SEED };
    const { sent, seconds, statuses, findings } = await fuzz.run(service, options);
    console.log(
      `fuzz: seed ${SEED}, ${sent} requests in ${seconds.toFixed(1)} s`,
      JSON.stringify(statuses),
    );
    expect(findings).toEqual([]);
    expect(sent).toBeGreaterThanOrEqual(REQUESTS);
    expect(service.pid).toBe(pid);
    expect((await service.fetch("/healthz")).status).toBe(200);
    const logs = JSON.stringify(service.lines);
    for (const secret of fuzz.secrets) expect(logs).not.toContain(secret);
    expect(service.lines.filter(({ event }) => event === "request.crashed")).toEqual([]);
  },
);
