/** On a server, with the real React. `test/e2e/react.test.ts` has it in a page. */
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { expect, it } from "vitest";
import { useSession, type UseSessionOptions } from "../../../src/react/use-session.ts";

function Shown(options: UseSessionOptions) {
  const { events, status, lastEventId } = useSession(options);
  return createElement("p", null, `${status} ${events.length} ${lastEventId}`);
}

it.each<[UseSessionOptions, string]>([
  [{ url: "https://h.example", id: "s", lastEventId: "e7" }, "connecting 0 e7"],
  // A path has a meaning in a page alone.
  [{ url: "/holdfast", id: "s" }, "connecting 0 undefined"],
  [{ url: "https://h.example", id: undefined }, "idle 0 undefined"],
])("a page that is rendered on a server connects to nothing", (options, expected) => {
  const fetch = () => expect.unreachable("it connects");
  const text = renderToString(createElement(Shown, { ...options, fetch }));
  expect(text).toBe(`<p>${expected}</p>`);
});
