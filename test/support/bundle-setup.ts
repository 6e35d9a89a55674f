import type { TestProject } from "vitest/node";
import { buildBundle } from "../../scripts/bundle.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Path of the production bundle, built once for all tests over real HTTP. */
    bundle: string;
  }
}

/** Builds what `wrangler deploy` would upload, which also shows that it can be built. */
export default async function setup(project: TestProject): Promise<void> {
  const bundle = await buildBundle();
  console.log(`bundle: ${bundle.size}`);
  project.provide("bundle", bundle.path);
}
