/** Publishes and deliveries of the last minutes, and what else the metrics say of the service. */
import { useState } from "preact/hooks";
import { messageOf, metricsText } from "./api.ts";
import { useRepeated } from "./hooks.ts";
import { ratesOf, samplesIn, total, type Sample, type Scrape } from "./samples.ts";
import { many, rate } from "./words.ts";

/** Milliseconds between two scrapes, and how many are kept: five minutes. */
const SCRAPE_MS = 3000;
const SCRAPES = 101;

interface Scrapes {
  readonly scrapes: readonly Scrape[];
  readonly failure: string | undefined;
}

/** Scrapes again and again. They outlive the page that shows them, so the plot does not begin anew. */
let kept: readonly Scrape[] = [];

export function useScrapes(isThere: boolean): Scrapes {
  const [scrapes, setScrapes] = useState(kept);
  const [failure, setFailure] = useState<string>();
  useRepeated(SCRAPE_MS, [isThere], async (signal) => {
    if (!isThere) return;
    try {
      const samples = samplesIn(await metricsText(signal));
      kept = [...kept, { at: Date.now(), samples }].slice(-SCRAPES);
      setScrapes(kept);
      setFailure(undefined);
    } catch (failure) {
      if (!signal.aborted) setFailure(messageOf(failure));
    }
  });
  return { scrapes, failure };
}

const SERIES = [
  { name: "published", metric: "holdfast_events_published_total" },
  { name: "delivered", metric: "holdfast_events_delivered_total" },
] as const;

const WIDTH = 600;
const HEIGHT = 120;

function Plot({ scrapes }: { readonly scrapes: readonly Scrape[] }) {
  const series = SERIES.map(({ name, metric }) => ({ name, rates: ratesOf(scrapes, metric) }));
  const most = Math.max(1, ...series.flatMap(({ rates }) => rates));
  const step = WIDTH / (SCRAPES - 2);
  const points = (rates: readonly number[]) =>
    rates
      .map((one, index) => {
        const x = WIDTH - (rates.length - 1 - index) * step;
        return `${x.toFixed(1)},${(HEIGHT - (one / most) * (HEIGHT - 4) - 2).toFixed(1)}`;
      })
      .join(" ");
  const words = series.map(({ name, rates }) => `${rate(rates.at(-1) ?? 0)} ${name} a second`);
  return (
    <figure class="plot">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Events of the last five minutes. Now ${words.join(", ")}; at most ${rate(most)}.`}
      >
        <path class="grid" d={`M0 2H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT - 2}H${WIDTH}`} />
        {series.map(({ name, rates }) => (
          <polyline key={name} class={name} points={points(rates)} />
        ))}
      </svg>
      <figcaption>
        {series.map(({ name }, index) => (
          <span key={name} class={`legend ${name}`}>
            {words[index]}
          </span>
        ))}
        <span>top {rate(most)} a second, width five minutes, since the console is open</span>
      </figcaption>
    </figure>
  );
}

function Tile({ label, value }: { readonly label: string; readonly value: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** The process at a glance. */
export function Overview({ scrapes, failure }: Scrapes) {
  const samples: readonly Sample[] = scrapes.at(-1)?.samples ?? [];
  const number = (name: string) => total(samples, name).toLocaleString();
  const failing = samples.filter(({ name, value }) => name === "holdfast_ready" && value === 0);
  return (
    <section aria-label="This process">
      <dl class="tiles">
        <Tile label="Streams open" value={number("holdfast_streams_open")} />
        <Tile label="Objects awake" value={number("holdfast_objects_awake")} />
        <Tile label="Events published" value={number("holdfast_events_published_total")} />
        <Tile label="Events delivered" value={number("holdfast_events_delivered_total")} />
        <Tile label="Readers cut" value={number("holdfast_readers_cut_total")} />
        <Tile label="Refused" value={number("holdfast_refused_total")} />
      </dl>
      {failing.length > 0 && (
        <p class="notice bad" role="alert">
          Not ready: {failing.map(({ labels }) => labels["check"]).join(", ")}
        </p>
      )}
      {failure !== undefined && <p class="notice bad">The metrics: {failure}</p>}
      <Plot scrapes={scrapes} />
    </section>
  );
}

/** Counts the upstreams' answers since the process began. */
export function Upstreams({ scrapes }: { readonly scrapes: readonly Scrape[] }) {
  const samples: readonly Sample[] = scrapes.at(-1)?.samples ?? [];
  const of = (metric: string, upstream: string, label: string) =>
    samples
      .filter(({ name, labels }) => name === metric && labels["upstream"] === upstream)
      .map(({ labels, value }) => `${labels[label] ?? ""} ${value.toLocaleString()}`)
      .join(", ");
  const requests = samples.filter(({ name }) => name === "holdfast_upstream_requests_total");
  const names = [...new Set(requests.map(({ labels }) => labels["upstream"] ?? ""))];
  const answers = total(samples, "holdfast_upstream_seconds_count");
  const seconds = total(samples, "holdfast_upstream_seconds_sum");
  const open = total(samples, "holdfast_exchanges_open");
  if (names.length === 0) return <p>No upstream has been called since this process began.</p>;
  return (
    <>
      <p role="status">{many(open, "exchange")} under way.</p>
      <table>
        <thead>
          <tr>
            <th scope="col">Upstream</th>
            <th scope="col">Answers</th>
            <th scope="col">Failures</th>
          </tr>
        </thead>
        <tbody>
          {names.map((name) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{of("holdfast_upstream_requests_total", name, "outcome")}</td>
              <td>{of("holdfast_upstream_failures_total", name, "kind") || "none"}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {answers > 0 && (
        <p>
          {many(answers, "answer")}, after {((seconds * 1000) / answers).toFixed(0)} ms in the mean.
        </p>
      )}
    </>
  );
}
