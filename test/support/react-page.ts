/** The page of `test/e2e/react.test.ts`: bundled there, with the real React in its strict mode. */
import { createElement, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { useSession } from "../../src/entries/react.ts";

/** The globals of a page, as far as this one uses them. */
declare const document: {
  readonly body: Element;
  addEventListener(type: "DOMContentLoaded", listener: () => void): void;
};
declare const location: { readonly origin: string };
declare const window: { show?: (id: string | undefined) => void };

function Stream({ id }: { readonly id: string | undefined }) {
  const { events, status, lastEventId, end } = useSession({
    url: location.origin,
    id,
    from: "earliest",
  });
  return [
    createElement("output", { key: "events" }, events.map(({ data }) => data).join(" ")),
    createElement("p", { key: "status", id: "status" }, status),
    createElement("p", { key: "last", id: "last" }, lastEventId),
    createElement("button", { key: "end", onClick: () => void end({ data: "bye" }) }, "End"),
  ];
}

document.addEventListener("DOMContentLoaded", () => {
  const root = createRoot(document.body);
  window.show = (id) => {
    root.render(createElement(StrictMode, null, createElement(Stream, { id })));
  };
});
