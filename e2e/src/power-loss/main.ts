import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { wholeNumber } from "../command-line.ts";
import { whyNoPowerLoss } from "./power-loss-disk.ts";
import { keepsItsWord, losePowerRepeatedly } from "./run.ts";

const HELP = `Cuts the broker's power under load and looks whether everything accepted is still there.

  --rounds N             power losses (50)
  --seed S               decides when the power goes and what of the unsynced writes survives (random)
  --clients N            HTTP clients that submit at once (32)
  --directories RULE     ordered (as ext4, XFS, Btrfs) or strict (the least that POSIX promises); default ordered
  --sync-interval S      always (as Millrace configures it) or periodic (nats-server's default); default always

Prints the books as JSON. Exit status 1 when a promise was broken, 2 when it cannot run here.`;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "50" },
    seed: { type: "string", default: String(randomInt(2 ** 31)) },
    clients: { type: "string", default: "32" },
    directories: { type: "string", default: "ordered" },
    "sync-interval": { type: "string", default: "always" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) console.info(HELP);
else process.exitCode = await main();

async function main(): Promise<number> {
  const missing = whyNoPowerLoss();
  if (missing !== undefined) {
    console.error(`power loss cannot be tried here: ${missing}`);
    return 2;
  }
  const books = await losePowerRepeatedly({
    rounds: wholeNumber("--rounds", values.rounds),
    seed: wholeNumber("--seed", values.seed),
    clients: wholeNumber("--clients", values.clients),
    directories: oneOf("directories", values.directories, ["ordered", "strict"]),
    syncInterval: oneOf("sync-interval", values["sync-interval"], ["always", "periodic"]),
    report: (round, { accepted, accepted_lost, outcomes_acknowledged, outcomes_lost }) =>
      console.error(
        `power loss ${round}: ${accepted} accepted, ${accepted_lost.length} lost; ` +
          `${outcomes_acknowledged} outcomes acknowledged, ${outcomes_lost} lost`,
      ),
  });
  console.log(JSON.stringify(books, null, 2));
  return keepsItsWord(books) ? 0 : 1;
}

function oneOf<T extends string>(name: string, text: string, all: readonly T[]): T {
  const found = all.find((value) => value === text);
  if (found !== undefined) return found;
  throw new Error(`--${name} is one of ${all.join(", ")}, not "${text}"`);
}
