import { expect, it, onTestFinished, vi } from "vitest";
import { withServers } from "../../../bench/servers.ts";

/** Servers that say when they were stopped. */
function servers() {
  const stopped: string[] = [];
  const started = async (name: string) => ({
    name,
    stop: async () => void stopped.push(name),
  });
  const failing = (): ReturnType<typeof started> => Promise.reject(new Error("no port"));
  return { stopped, started, failing };
}

it("answers what was done, once all that was started is stopped", async () => {
  const { stopped, started } = servers();
  const result = await withServers(async (start) => {
    const [first, second] = [await start(started("first")), await start(started("second"))];
    expect(stopped).toEqual([]);
    return `${first.name} and ${second.name}`;
  });
  expect(result).toBe("first and second");
  expect(stopped).toEqual(["first", "second"]);
});

it("stops the first where the second does not start", async () => {
  const { stopped, started, failing } = servers();
  const run = withServers(async (start) => {
    await start(started("first"));
    await start(failing());
  });
  await expect(run).rejects.toThrow("no port");
  expect(stopped).toEqual(["first"]);
});

it("stops one that comes up after another has failed", async () => {
  const { stopped, started, failing } = servers();
  const late = Promise.withResolvers<Awaited<ReturnType<typeof started>>>();
  const run = withServers((start) => Promise.all([start(late.promise), start(failing())]));
  await Promise.resolve();
  late.resolve(await started("late"));
  await expect(run).rejects.toThrow("no port");
  expect(stopped).toEqual(["late"]);
});

it("stops all where the work fails, and fails with that although a server cannot be stopped", async () => {
  const { stopped, started } = servers();
  const told = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  onTestFinished(() => told.mockRestore());
  const run = withServers(async (start) => {
    await start(Promise.resolve({ stop: () => Promise.reject(new Error("stuck")) }));
    await start(started("second"));
    throw new Error("nothing was served");
  });
  await expect(run).rejects.toThrow("nothing was served");
  expect(stopped).toEqual(["second"]);
  expect(told).toHaveBeenCalledExactlyOnceWith(expect.stringContaining("stuck"));
});
