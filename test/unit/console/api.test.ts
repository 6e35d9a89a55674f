/** The console's calls to the service. A page has globals that Node lacks, so this brings them. */
import { afterEach, expect, it, vi } from "vitest";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

interface Api {
  readonly read: (id: string) => Promise<unknown>;
  readonly messageOf: (failure: unknown) => string;
}

/** The console is checked with the types of a browser, and so not with this file. */
async function load(): Promise<Api> {
  vi.stubGlobal("location", { href: "https://service.example/console" });
  vi.stubGlobal("sessionStorage", { getItem: () => null });
  const file = "../../../src/console/api.ts";
  return (await import(file)) as Api;
}

it("says that a service which hangs does not answer, after fifteen seconds", async () => {
  const time = new AbortController();
  const timeout = vi.spyOn(AbortSignal, "timeout").mockReturnValue(time.signal);
  vi.stubGlobal(
    "fetch",
    (_url: URL, { signal }: RequestInit) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason as Error));
      }),
  );
  const api = await load();
  const shown = api.read("id").catch(api.messageOf);
  expect(timeout).toHaveBeenCalledWith(15_000);
  time.abort(new Error("TimeoutError"));
  expect(await shown).toBe("The service does not answer.");
});
