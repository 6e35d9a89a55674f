/**
 * The official conformance suite, direct and through the gateway. Unscored failures
 * do not change its exit code, so what is compared is its log, scenario by scenario.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { PROJECT } from "../../../scripts/bundle.ts";
import { startEverything } from "../../support/mcp/everything.ts";
import { fixtureBehindGateway, startGateway } from "../../support/mcp/gateway.ts";

interface Outcome {
  readonly exitCode: number;
  /** Scenario to whether it passed. */
  readonly scenarios: Readonly<Record<string, boolean>>;
}

async function conformance(url: string, version: string): Promise<Outcome> {
  const cwd = await mkdtemp(join(tmpdir(), "holdfast-conformance-"));
  onTestFinished(() => rm(cwd, { recursive: true, force: true }));
  const bin = join(PROJECT, "node_modules", ".bin", "conformance");
  const args = ["server", "--url", url, "--requirements", version];
  const { code, stdout } = await new Promise<{ code: number; stdout: string }>((resolve) => {
    execFile(bin, args, { cwd, maxBuffer: 1 << 26 }, (error, out, err) => {
      resolve({ code: error ? Number(error.code) : 0, stdout: out + err });
    });
  });
  const lines = [...stdout.matchAll(/^([✓✗]) (\S+): \d+ passed/gm)];
  const scenarios = Object.fromEntries(lines.map(([, mark, name]) => [name, mark === "✓"]));
  return { exitCode: code, scenarios };
}

const local = (url: string) => url.replace("127.0.0.1", "localhost");

it("2025-11-25: all scored scenarios and the unscored ones of sessions, as direct", async () => {
  const { url, fixture } = await fixtureBehindGateway();
  const direct = await conformance(fixture.url, "2025-11-25");
  const through = await conformance(local(url), "2025-11-25");
  expect(through).toEqual(direct);
  expect(through.exitCode).toBe(0);
  expect(Object.values(through.scenarios)).toHaveLength(33);
  expect(Object.values(through.scenarios).every(Boolean)).toBe(true);
  expect(through.scenarios).toMatchObject({
    "server-session-lifecycle": true,
    "server-sse-polling": true,
  });
}, 90_000);

it("2026-07-28: all scored scenarios, as direct", async () => {
  const { url, fixture } = await fixtureBehindGateway();
  const direct = await conformance(fixture.url, "2026-07-28");
  const through = await conformance(local(url), "2026-07-28");
  expect(through).toEqual(direct);
  // The tool exits with 0 where every scored scenario passes; tasks are an unscored extension.
  expect(through.exitCode).toBe(0);
  const failing = Object.keys(through.scenarios).filter((name) => !through.scenarios[name]);
  expect(failing.filter((name) => !name.startsWith("tasks-"))).toEqual([]);
  expect(Object.values(through.scenarios)).toHaveLength(50);
}, 90_000);

it("server-everything passes the same scenarios through the gateway as direct", async () => {
  const everything = await startEverything();
  const { url } = await startGateway({ default: { url: everything.url } });
  const direct = await conformance(everything.url, "2025-11-25");
  const through = await conformance(local(url), "2025-11-25");
  const passing = ({ scenarios }: Outcome) =>
    Object.keys(scenarios).filter((name) => scenarios[name]);
  expect(passing(direct).length).toBeGreaterThan(5);
  // The gateway adds what it does itself: it refuses other hosts, and sessions end.
  expect(passing(through)).toEqual(expect.arrayContaining(passing(direct)));
}, 90_000);
