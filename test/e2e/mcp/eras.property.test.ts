/**
 * A call that asks its user, between a client and a server of different eras, with a harm at every
 * step: cuts of the client, `kill -9` of the service, answers sent twice or by somebody else, evictions. ERA_RUNS plays more.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { mayFail, play, type Harm, type Plan } from "../../support/mcp/era-play.ts";
import { EraServer } from "../../support/mcp/era-server.ts";
import { startGateway } from "../../support/mcp/gateway.ts";
import { Relay } from "../../support/relay.ts";
import { shared } from "../../support/scope.ts";

const RUNS = Number(process.env["ERA_RUNS"] ?? 5);
const STEPS = 5;

const startStage = async () => {
  const legacy = await EraServer.start("legacy");
  const modern = await EraServer.start("modern");
  const upstreams = { legacy: { url: legacy.url }, modern: { url: modern.url } };
  const env = { KEEPALIVE_SECONDS: "0.2", LOG_LEVEL: "debug" };
  const { service } = await startGateway(upstreams, env);
  return { service, relay: await Relay.to(service.port), servers: { legacy, modern } };
};
const start = shared(startStage);

let plays = 0;
/** The tool takes effect once, and the client gets one result or an error. Which one it may be, the model says. */
async function proves(plan: Plan, stage = start): Promise<void> {
  const { service, relay, servers } = await stage();
  const server = servers[plan.server];
  const tag = `play-${++plays}`;
  const url = `${relay.url}/mcp/${plan.server}`;
  const { end, said, asked } = await play({ service, relay, url, tag }, plan);
  const effects = server.effects.of(tag);
  const questions = ["first", "second"].slice(0, plan.rounds);
  const what = JSON.stringify({ plan, end, said, asked, effects });
  expect(asked, what).toEqual(questions.slice(0, asked.length));
  expect(effects, what).toBeLessThanOrEqual(1);
  if (end !== "result") return void expect(mayFail(plan), what).toBe(true);
  const answers = questions.map((name) => ["accept", name]);
  expect(said, what).toBe(JSON.stringify(plan.rounds === 1 ? answers[0] : answers));
  expect(effects, what).toBe(1);
}

const SERVERS = ["legacy", "modern"] as const;

/** This harm at one of the steps, at each in turn. */
const single = (server: Plan["server"], what: Harm) =>
  Array.from({ length: STEPS }, (_, step): Plan => {
    const harms = Array.from({ length: STEPS }, (_, n): Harm => (n === step ? what : "none"));
    return { server, rounds: 2, harms };
  });

it.each(SERVERS)(
  "survives one harm at every step, to a server that is %s-only",
  async (server) => {
    const kinds = ["cut", "kill", "repeat", "forge"] as const;
    for (const plan of kinds.flatMap((what) => single(server, what))) await proves(plan);
  },
  120_000,
);

it("survives evictions at every step", async () => {
  const stage = await startStage();
  const plans = SERVERS.flatMap((server) => single(server, "evict"));
  await Promise.all(plans.map((plan) => proves(plan, async () => stage)));
  const lives = stage.service.lines.filter(({ event }) => event === "object.start");
  const woken = lives.length - new Set(lives.map(({ object }) => object)).size;
  // With its question at the user a client's session sleeps, unless it reads the stream of a legacy server.
  expect(woken).toBeGreaterThanOrEqual(2);
}, 120_000);

it(
  `takes effect once over ${RUNS} plays of several harms`,
  async () => {
    const plan: fc.Arbitrary<Plan> = fc.record({
      server: fc.constantFrom(...SERVERS),
      rounds: fc.constantFrom(1, 2),
      harms: fc.array(fc.constantFrom<Harm>("none", "none", "cut", "kill", "repeat", "forge"), {
        minLength: STEPS,
        maxLength: STEPS,
      }),
    });
    await fc.assert(
      fc.asyncProperty(plan, (one) => proves(one)),
      { numRuns: RUNS, endOnFailure: true },
    );
  },
  20_000 + RUNS * 10_000,
);
