/**
 * The plan of a client, and its report. A client is a program that gets the URL and the plan
 * (JSON) as arguments. It prints what it saw as one line of JSON. Each line on its input
 * then names one more call of the plan, and it prints that one's outcome.
 */
import { createInterface } from "node:readline";

export const [url, planText] = process.argv.slice(2);
/** {transport, calls: {echo, count, fail, long}}; a call is {name, arguments}. */
export const plan = JSON.parse(planText ?? "{}");

const say = (value) => console.log(JSON.stringify(value));

/** The result of a call, or its failure, in the same words direct and through the gateway. */
export const outcome = (call) =>
  call().then(
    (result) => ({ isError: Boolean(result.isError), content: result.content }),
    (failure) => ({ failed: String(failure?.message ?? failure) }),
  );

/** `client` has tools(), as the server describes them, call(one, onProgress?), close(). */
export async function drive(client) {
  const { echo, count, fail } = plan.calls;
  const progress = [];
  say({
    tools: await client.tools(),
    echo: await outcome(() => client.call(echo)),
    count: await outcome(() => client.call(count, (one) => progress.push(one))),
    fail: await outcome(() => client.call(fail)),
    progress,
  });
  for await (const line of createInterface({ input: process.stdin })) {
    say(await outcome(() => client.call(plan.calls[line])));
  }
  await Promise.race([client.close(), new Promise((done) => setTimeout(done, 500))]);
  process.exit();
}
