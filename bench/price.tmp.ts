import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { LOADS } from "./loads.ts";
import { median } from "./measure.ts";
import { memoryFolder, startWorker, withServers } from "./servers.ts";
const other = "/tmp/op-signals-base";
const here = "/tmp/op-signals";
const kind = process.argv[2] ?? "read";
const rounds = Number(process.argv[3] ?? 60);
const ns = (pid: number) => readdirSync(`/proc/${pid}/task`).reduce((s, t) => { try { return s + Number(readFileSync(`/proc/${pid}/task/${t}/schedstat`, "utf8").split(" ")[0]); } catch { return s; } }, 0);
await withServers(async (start) => {
  const sides = [];
  for (const [name, bundle, checkout] of [["new", "holdfast", here], ["base", "other", other], ["base2", "other2", other]] as const) {
    const server = await start(startWorker(bundle, join(checkout, "wrangler.toml"), { env: { LOG_LEVEL: "warn" }, folder: await memoryFolder() }));
    sides.push({ name, pid: server.pid, run: await LOADS[kind]!(server), us: [] as number[] });
  }
  for (let r = -2; r < rounds; r++) {
    const order = sides.toSorted(() => Math.random() - 0.5);
    for (const s of order) { const b = ns(s.pid); const { count } = await s.run(0.6); const us = (ns(s.pid) - b) / 1000 / count; if (r >= 0) s.us.push(us); }
  }
  const q = (v: number[], p: number) => v.toSorted((a, b) => a - b)[Math.floor(p * v.length)]!;
  for (const s of sides) console.log(s.name, "min", q(s.us, 0).toFixed(1), "p10", q(s.us, 0.1).toFixed(1), "p25", q(s.us, 0.25).toFixed(1), "median", median(s.us).toFixed(1));
});
process.exit(0);
