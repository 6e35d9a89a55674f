/** Prints the results of the command, for people or as JSON, one line each. */

/**
 * Characters that a terminal may take for a command: the controls but tab and line end, DEL, and C1.
 * Events and metadata come from others.
 */
// oxlint-disable-next-line no-control-regex -- they are what it is about
const COMMANDS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029]/g;

export interface Output {
  /** A result: the text, or with `--json` the value. */
  result(text: string, value: unknown): Promise<void>;
  /** A line for people, on the error output. */
  remark(line: string): void;
}

/** Writes to the process's own outputs. */
export function outputOf(isJson: boolean): Output {
  return {
    result: (text, value) => write(printable(isJson ? JSON.stringify(value) : text)),
    remark: (line) => process.stderr.write(`holdfast: ${printable(line)}\n`),
  };
}

function printable(text: string): string {
  const escape = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return text.replace(COMMANDS, escape);
}

/** Resolves when the system has taken the line, so a slow reader of the output slows the command down. */
function write(line: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(`${line}\n`, () => resolve()));
}
