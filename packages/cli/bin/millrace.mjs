#!/usr/bin/env node
// Runs on any Node ≥ 20: an older one than the sources need hands over to the clone's own (see scripts/).
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const main = new URL("../src/main.ts", import.meta.url);
const pinned = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../../.toolchain/bin/node");

if (process.features.typescript) await import(main.href);
else if (existsSync(pinned)) {
  const child = spawn(pinned, [fileURLToPath(main), ...process.argv.slice(2)], { stdio: "inherit" });
  child.once("exit", (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal];
  });
} else {
  console.error("millrace needs Node 24 or newer; `npm run setup` in the repository installs one for it.");
  process.exitCode = 2;
}
