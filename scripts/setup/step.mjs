// node scripts/setup/step.mjs <toolchain|tensorflow>: one step of the set-up by itself, for the stages of the Dockerfile.
// There a step that fails must fail the build: an image without its native half would only be found out by its speed.
import { tensorflowFailure, tensorflowStep } from "./tensorflow.mjs";
import { toolchainStep } from "./toolchain.mjs";

const STEPS = { toolchain: toolchainStep, tensorflow: tensorflowStep };

const step = STEPS[process.argv[2]];
if (step === undefined) throw new Error(`name a step: ${Object.keys(STEPS).join(", ")}`);
console.log(`${step.title}: ${await step.run()}`);
if (step === tensorflowStep && tensorflowFailure() !== undefined) process.exitCode = 1;
