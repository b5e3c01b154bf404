#!/usr/bin/env node
// node scripts/millrace.mjs <command> [args]: what `npm start`, `npm test` and the other root scripts call.
// It runs on any Node ≥ 20 with nothing installed, sets the clone up, then runs the command on the pinned Node.
import { spawn } from "node:child_process";
import { constants } from "node:os";
import path from "node:path";
import { COMMANDS } from "./commands.mjs";
import { bin, inToolchain, root } from "./setup/paths.mjs";
import { setUp } from "./setup/set-up.mjs";
import { tensorflowFailure } from "./setup/tensorflow.mjs";

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP"];

const [name, ...given] = process.argv.slice(2);
const command = Object.hasOwn(COMMANDS, name ?? "") ? COMMANDS[name] : undefined;
const args = given[0] === "--" ? given.slice(1) : given; // pnpm passes on the separator that npm takes away

if (command === undefined) {
  const list = Object.entries(COMMANDS).map(([key, { about }]) => `  ${key.padEnd(8)}${about}`);
  console.error(["node scripts/millrace.mjs <command> [arguments]", ...list].join("\n"));
  process.exitCode = 2;
} else {
  process.exitCode = await main();
}

async function main() {
  const began = performance.now();
  try {
    const worked = await setUp({ force: name === "setup" && args.includes("--force") });
    const why = tensorflowFailure();
    if (!worked && why !== undefined)
      console.error(`The WASM backend serves (${why.split("\n")[0]}; npm run setup -- --force tries again).`);
    if (name === "setup" && !worked)
      console.error(`Set-up is done already (${Math.round(performance.now() - began)} ms).`);
  } catch (error) {
    console.error(`\nThe set-up stopped. ${error.message}`);
    return 1;
  }
  const parts = command.parts(args);
  const failed = [];
  for (const { title, run } of parts) {
    if (title !== undefined) console.error(`\n— ${title}`);
    const code = await runOnPinnedNode(run);
    if (parts.length === 1 || code > 128) return code; // ended by a signal: the rest was not wanted either
    if (code !== 0) failed.push(title);
  }
  if (parts.length > 1) console.error(failed.length === 0 ? "\nAll passed." : `\nFailed: ${failed.join(", ")}`);
  return failed.length === 0 ? 0 : 1;
}

/** Runs in the foreground with our terminal, passes signals on, and resolves to the exit code a shell would report. */
function runOnPinnedNode([file, ...rest]) {
  const env = {
    ...process.env,
    PATH: `${bin}${path.delimiter}${process.env.PATH ?? ""}`,
    MILLRACE_WRAPPER_PID: String(process.pid), // the runner stops when this process is gone, however it went
    NODE_COMPILE_CACHE: inToolchain("compile-cache"), // a third off the start of every process
    TURBO_TELEMETRY_DISABLED: "1",
  };
  const child = spawn(file, rest, { cwd: root, env, stdio: "inherit" });
  const forward = (signal) => child.kill(signal);
  for (const signal of FORWARDED) process.on(signal, forward);
  // The root scripts start us with `exec`, or the shell between npm and us would keep npm's signals to itself.
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.env.npm_lifecycle_event !== undefined && process.ppid !== parent) forward("SIGTERM"); // npm was killed
  }, 1_000);
  return new Promise((resolve) => {
    child.once("error", (error) => {
      console.error(`${file} could not be started: ${error.message}`);
      resolve(127);
    });
    child.once("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  }).finally(() => {
    clearInterval(watch);
    for (const signal of FORWARDED) process.off(signal, forward);
  });
}
