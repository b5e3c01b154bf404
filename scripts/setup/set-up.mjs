// Brings a clone to the point where everything runs, and costs next to nothing when it is there already.
// Each step can be repeated, and killed at any time: it builds beside its target and renames.
import fs from "node:fs";
import { sweepDrafts } from "./files.mjs";
import { withLock } from "./lock.mjs";
import { natsServerStep } from "./nats-server.mjs";
import { cache, inToolchain, toolchain } from "./paths.mjs";
import { prerequisitesStep } from "./prerequisites.mjs";
import { tensorflowStep } from "./tensorflow.mjs";
import { toolchainStep } from "./toolchain.mjs";
import { workspaceStep } from "./workspace.mjs";

const HOUR_MS = 3_600_000;

const STEPS = [prerequisitesStep, toolchainStep, workspaceStep, natsServerStep, tensorflowStep];

/**
 * @param {{ force?: boolean, say?: (line: string) => void }} [options] `force` repeats every step, also a remembered failure
 * @returns {Promise<boolean>} whether there was anything to do
 * @throws the error of the step that failed; its message is written for the user
 */
export async function setUp({ force = false, say = (line) => process.stderr.write(`${line}\n`) } = {}) {
  if (!force && STEPS.every((step) => step.isDone())) return false;
  const onWait = (pid) => say(`Another set-up of this clone is running (process ${pid}); waiting for it.`);
  await withLock(inToolchain("lock"), () => runSteps({ force, say }), { onWait });
  return true;
}

async function runSteps({ force, say }) {
  if (!force && STEPS.every((step) => step.isDone())) return; // the one we waited for has done it
  say("Setting up (once per clone; downloads and builds are cached for the next)");
  fs.rmSync(inToolchain("setup.log"), { force: true });
  sweepDrafts(toolchain, 0); // the lock says that nobody is at work here
  sweepDrafts(cache, HOUR_MS); // other clones may be
  for (const step of STEPS) {
    const began = performance.now();
    if (!force && step !== prerequisitesStep && step.isDone()) {
      say(line(step.title, "already there"));
      continue;
    }
    if (process.stderr.isTTY) process.stderr.write(line(step.title, "…"));
    const detail = await step.run().catch((error) => {
      throw new Error(`${step.title}: ${error.message.trimStart()}`, { cause: error });
    });
    const clear = process.stderr.isTTY ? "\r\x1b[K" : "";
    say(clear + line(step.title, detail, performance.now() - began));
  }
}

/** `  Workspace           24 packages of ours (3.1 s)`; what follows the first line of the detail stays below it. */
function line(title, detail, ms) {
  const [first, ...rest] = detail.split("\n");
  const took = ms === undefined ? "" : ` (${(ms / 1000).toFixed(1)} s)`;
  return [`  ${title.padEnd(20)}${first}${took}`, ...rest].join("\n");
}
