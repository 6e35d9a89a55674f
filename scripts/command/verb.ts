/** A verb of the command: its arguments, its help and its work. */
import type { ParseArgsConfig } from "node:util";
import type { Connection } from "./connection.ts";
import type { Output } from "./output.ts";

type Options = NonNullable<ParseArgsConfig["options"]>;

/** The values of the options, by their names. */
export type Given = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

export interface VerbOption {
  readonly type: Options[string]["type"];
  readonly multiple?: boolean;
  /** For the help: the name of the value, and what it does. */
  readonly value?: string;
  readonly help: string;
}

/** A verb that calls the service. */
export interface Verb {
  /** Its arguments, such as `ID [DATA]`. Those in brackets may be left out. */
  readonly arguments: string;
  readonly summary: string;
  /** A command line that does something useful. */
  readonly example: string;
  readonly options: Readonly<Record<string, VerbOption>>;
  run(call: Call): Promise<void>;
}

export interface Call {
  readonly connection: Connection;
  readonly output: Output;
  readonly isJson: boolean;
  readonly given: Given;
  readonly positionals: readonly string[];
}

/** The text of an option; undefined if it was not given. */
export function textOf(given: Given, name: string): string | undefined {
  const value = given[name];
  return typeof value === "string" ? value : undefined;
}

/** All texts of an option that may be given several times. */
export function textsOf(given: Given, name: string): readonly string[] {
  const value = given[name];
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}
