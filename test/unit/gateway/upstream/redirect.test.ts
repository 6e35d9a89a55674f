import { expect, it } from "vitest";
import { followed } from "../../../../src/gateway/upstream/redirect.ts";

const HOME = "https://a.example/mcp";

/** Where a request is sent until it is answered. */
async function sent(
  method: string,
  redirects: readonly [status: number, location?: string | undefined][],
) {
  const urls: string[] = [];
  const left = [...redirects];
  const send = async (url: string) => {
    urls.push(url);
    const [status, location] = left.shift() ?? [200];
    return new Response(null, { status, headers: location === undefined ? {} : { location } });
  };
  const { answer, url } = await followed(HOME, method, send);
  return { urls, url, answer };
}

it.each([307, 308])(
  "follows %i within its origin, and says where the answer came from",
  async (status) => {
    const { urls, url, answer } = await sent("POST", [[status, "/mcp/"]]);
    expect([...urls, url]).toEqual([HOME, `${HOME}/`, `${HOME}/`]);
    expect(answer).toMatchObject({ status: 200 });
  },
);

it("follows a redirect that is relative to the last one", async () => {
  const { urls } = await sent("POST", [
    [307, "b/c"],
    [307, "d"],
  ]);
  expect(urls).toEqual([HOME, "https://a.example/b/c", "https://a.example/b/d"]);
});

it.each([
  ["another host", "https://b.example/mcp"],
  ["another scheme", "http://a.example/mcp"],
  ["another port", "https://a.example:8443/mcp"],
  ["another host without a scheme", "//b.example/mcp"],
  ["a place with credentials", "https://me:secret@a.example/mcp"],
  ["no place", undefined],
  ["no URL", "https://"],
])("does not follow one to %s", async (_what, location) => {
  const { urls, answer } = await sent("POST", [[307, location]]);
  expect(urls).toEqual([HOME]);
  expect(answer).toMatchObject({ status: 307 });
});

it.each([300, 301, 302, 303, 304])("a POST does not follow %i", async (status) => {
  expect((await sent("POST", [[status, "/mcp/"]])).urls).toEqual([HOME]);
});

it.each([301, 302, 303, 307, 308])("a GET follows %i", async (status) => {
  expect((await sent("GET", [[status, "/mcp/"]])).urls).toEqual([HOME, `${HOME}/`]);
});

it("ends a circle", async () => {
  const { urls, answer } = await sent(
    "POST",
    Array.from({ length: 9 }, () => [308, "/mcp"]),
  );
  expect([urls.length, answer]).toMatchObject([4, { status: 308 }]);
});
