/** `npm run build`: type-checks the library and writes its modules and types into dist/. */
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { PROJECT } from "./bundle.ts";

rmSync(join(PROJECT, "dist"), { recursive: true, force: true });
execFileSync(join(PROJECT, "node_modules", ".bin", "tsc"), ["-p", "tsconfig.build.json"], {
  cwd: PROJECT,
  stdio: "inherit",
});
