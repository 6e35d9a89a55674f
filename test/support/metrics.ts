/** Reads `/metrics` of a service. */
import type { Service } from "./service.ts";

type Headers = Readonly<Record<string, string>>;

export async function metricsText(service: Service, headers: Headers = {}): Promise<string> {
  const response = await service.fetch("/metrics", { headers });
  if (response.status !== 200) throw new Error(`/metrics answered ${response.status}`);
  return response.text();
}

/** The values by name and labels as they are written: `holdfast_requests_total{route="GET /healthz",status="200"}`. */
export async function scrape(
  service: Service,
  headers: Headers = {},
): Promise<Readonly<Record<string, number>>> {
  const lines = (await metricsText(service, headers)).trim().split("\n");
  const samples = lines.filter((line) => !line.startsWith("#"));
  return Object.fromEntries(
    samples.map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}
