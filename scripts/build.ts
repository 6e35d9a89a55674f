/** `npm run build`: type-checks the library and writes its modules (ESM) and types into dist/. */
import { execFileSync } from "node:child_process";
import { globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT } from "./bundle.ts";

const dist = join(PROJECT, "dist");

rmSync(dist, { recursive: true, force: true });
execFileSync(join(PROJECT, "node_modules", ".bin", "tsc"), ["-p", "tsconfig.build.json"], {
  cwd: PROJECT,
  stdio: "inherit",
});

// tsc rewrites the extensions of imports in modules but not in types, where only
// some versions and settings of a user's TypeScript would find `./x.ts`.
for (const file of globSync("**/*.d.ts", { cwd: dist })) {
  const path = join(dist, file);
  const types = readFileSync(path, "utf8");
  writeFileSync(path, types.replace(/(from |import\()"(\.{1,2}\/[^"]+)\.ts"/g, '$1"$2.js"'));
}
