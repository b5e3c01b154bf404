import path from "node:path";
import { bundlePackage } from "./bundle.ts";

/*
 * `millrace-bundle`, run in a package's folder (its `build` script): makes `dist/app` and `dist/volumes` as the package's `bundle` section in
 * package.json says.
 */
const began = performance.now();
const dist = path.join(process.cwd(), "dist");
await bundlePackage(process.cwd(), { app: path.join(dist, "app"), volumes: path.join(dist, "volumes") });
console.log(`dist/app is made, in ${((performance.now() - began) / 1_000).toFixed(1)} s`);
