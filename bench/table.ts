/** Rows and claims as tables of Markdown. */
import type { Claim } from "./claim.ts";

/** One line of a suite's result. Numbers are rounded for the table only. */
export type Row = Readonly<Record<string, string | number | boolean>>;

export function table(rows: readonly Row[]): string[] {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cell = (value: Row[string] | undefined) => {
    if (value === undefined) return "";
    return typeof value === "number" ? figure(value) : String(value);
  };
  return [
    `| ${columns.join(" | ")} |`,
    `|${columns.map(() => "---").join("|")}|`,
    ...rows.map((row) => `| ${columns.map((column) => cell(row[column])).join(" | ")} |`),
  ];
}

/** Ratios are Holdfast's figure over the other's; in brackets the least and the greatest of a round. */
export function claimTable(claims: readonly Claim[]): string[] {
  return table(
    claims.map(({ what, holdfast, other, its, ratio, least, greatest, target, met }) => ({
      "": what,
      Holdfast: holdfast,
      "the other": `${other}: ${figure(its)}`,
      ratio: range(ratio, least, greatest),
      target: target === undefined ? "" : `${target}, ${met ? "met" : "missed"}`,
    })),
  );
}

function range(ratio: number, least: number | undefined, greatest: number | undefined): string {
  if (least === undefined || greatest === undefined) return figure(ratio);
  return `${figure(ratio)} (${figure(least)} to ${figure(greatest)})`;
}

function figure(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}
