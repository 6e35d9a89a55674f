/**
 * The plan of a client, and its report. A client is a program that gets the URL and the plan
 * (JSON) as arguments. It prints its report as one line of JSON. On a line on its input it calls
 * `echo` once more and prints the answer.
 */
import { createInterface } from "node:readline";

export const [url, planText] = process.argv.slice(2);
/** {transport, echo: {name, arguments}, count: {name, arguments}, fail: {name, arguments}} */
export const plan = JSON.parse(planText ?? "{}");

const say = (value) => console.log(JSON.stringify(value));

/** The result of a call, or its failure, in the same words direct and through the gateway. */
export const outcome = (call) =>
  call().then(
    (result) => ({ isError: Boolean(result.isError), content: result.content }),
    (failure) => ({ failed: String(failure?.message ?? failure) }),
  );

/** `client` has tools(), call(one, onProgress?), close(). */
export async function drive(client) {
  const progress = [];
  const seen = {
    tools: (await client.tools()).toSorted(),
    echo: await outcome(() => client.call(plan.echo)),
    count: await outcome(() => client.call(plan.count, (one) => progress.push(one))),
    fail: await outcome(() => client.call(plan.fail)),
    progress,
  };
  say(seen);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "end") break;
    say(await outcome(() => client.call(plan.echo)));
  }
  await Promise.race([client.close(), new Promise((done) => setTimeout(done, 500))]);
  process.exit();
}
