#!/usr/bin/env node
/** The command `holdfast`. It is plain JavaScript, so that any Node says what is missing. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const built = new URL("../dist/command/main.js", import.meta.url);

if (existsSync(built)) {
  const { main } = await import(built.href);
  await main(process.argv.slice(2), {
    package: fileURLToPath(new URL("../package.json", import.meta.url)),
    artifact: fileURLToPath(new URL("../dist/serve", import.meta.url)),
  });
} else {
  console.error("holdfast: there is no build here: run `npm ci && npm run build`, and start again");
  process.exitCode = 1;
}
