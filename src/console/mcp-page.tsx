/** MCP sessions with their upstream and versions, and what the upstreams answered. */
import { useState } from "preact/hooks";
import { read, type About } from "./api.ts";
import { useNow } from "./hooks.ts";
import { Pager, useListing } from "./paging.tsx";
import { Cards, Heading, SessionCell } from "./parts.tsx";
import { Upstreams, useScrapes } from "./plot.tsx";
import { many, span } from "./words.ts";
import type { Session } from "../core/api.ts";

/** `mcp` is Streamable HTTP, `sse` the HTTP+SSE of 2024-11-05. */
const TYPES = ["mcp", "sse"] as const;

interface Props {
  readonly type: string;
  readonly about: About;
}

export function McpPage({ type: asked, about }: Props) {
  const type = asked === "" ? TYPES[0] : asked;
  const now = useNow();
  const { scrapes } = useScrapes(about.hasMetrics);
  const [details, setDetails] = useState<readonly Session[]>();
  const listing = useListing({ subject: "", type }, async (sessions, signal) => {
    // A session may end meanwhile: then it is left out.
    const found = await Promise.allSettled(sessions.map(({ id }) => read(id, signal)));
    if (signal.aborted) return;
    setDetails(found.flatMap((one) => (one.status === "fulfilled" ? [one.value] : [])));
  });
  const ofGateway = details?.filter(({ metadata }) => metadata["upstream"] !== undefined);
  return (
    <>
      <Heading>MCP sessions</Heading>
      <nav class="row" aria-label="Transport">
        {TYPES.map((one) => (
          <a key={one} href={`#/mcp?type=${one}`} aria-current={one === type ? "true" : undefined}>
            {one === "mcp" ? "Streamable HTTP" : "HTTP+SSE"}
          </a>
        ))}
      </nav>
      {ofGateway && (
        <p role="status">
          {many(ofGateway.length, "session")} with an upstream, of{" "}
          {many(details?.length ?? 0, "session")} of the type {type} on this page.
        </p>
      )}
      {ofGateway && ofGateway.length > 0 && (
        <Cards
          label="MCP sessions"
          columns={["Session", "Upstream", "Revision", "Client", "Readers", "Time left"]}
        >
          {ofGateway.map(({ id, metadata, writers, expiresAt }) => (
            <tr key={id}>
              <SessionCell id={id} />
              <td class="long" data-label="Upstream">
                {metadata["upstream"]} <span class="faint">{hostOf(metadata)}</span>
              </td>
              <td data-label="Revision">
                {metadata["era"] ?? metadata["protocol_version"] ?? "—"}
                {metadata["era"] !== undefined && ` over ${metadata["protocol_version"]}`}
              </td>
              <td class="long" data-label="Client">
                {clientOf(metadata)}
              </td>
              <td class="number" data-label="Readers">
                {writers}
              </td>
              <td class="number" data-label="Time left">
                {span(Date.parse(expiresAt) - now)}
              </td>
            </tr>
          ))}
        </Cards>
      )}
      <Pager listing={listing} />
      {about.hasMetrics && (
        <section aria-labelledby="upstreams">
          <h2 id="upstreams">Upstreams</h2>
          <Upstreams scrapes={scrapes} />
        </section>
      )}
    </>
  );
}

type Metadata = Session["metadata"];

/** The host alone: a path or a query may hold a secret. */
function hostOf({ backend_url: url = "" }: Metadata): string {
  return URL.canParse(url) ? new URL(url).host : "";
}

/** The client's name and version; it sent any JSON. */
function clientOf({ client_info: text }: Metadata): string {
  if (text === undefined) return "—";
  try {
    const { name, version } = JSON.parse(text) as { name?: unknown; version?: unknown };
    return [name, version].filter((one) => typeof one === "string").join(" ") || "—";
  } catch {
    return text;
  }
}
