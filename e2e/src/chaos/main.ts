import { randomInt } from "node:crypto";
import path from "node:path";
import { parseArgs } from "node:util";
import { runCommand, wholeNumber } from "../command-line.ts";
import { runChaos } from "./run.ts";

const HELP = `pnpm chaos --kills N [options]     Harms a whole Millrace under load and makes the books.

  --kills N       SIGKILLs over all processes (50); a tenth as many pauses and orderly restarts come on top
  --seed S        repeats a plan: who is struck, when and how (random, and printed)
  --cluster       three nats-servers: half of the kills strike a node that leads, and as many cuts come on top
  --rate R        requests each second (20)
  --seconds T     time over which the faults are spread (2 for each)
  --data DIR      keep all state and logs here (otherwise they are removed)

Progress goes to standard error, the books as JSON to standard output; the exit code is 0 when they balance.`;

process.exitCode = await runCommand(HELP, parse, main);

async function main(options: Options): Promise<number> {
  const began = performance.now();
  let number = 0;
  const tell = (line: string) =>
    console.error(`${((performance.now() - began) / 1_000).toFixed(1).padStart(7)} s  ${++number}: ${line}`);
  const report = await runChaos({ ...options, tell });
  console.log(JSON.stringify(report, null, 2));
  console.error(report.ok ? "The books balance." : "The books do not balance.");
  return report.ok ? 0 : 1;
}

type Options = Exclude<ReturnType<typeof parse>, "help">;

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      kills: { type: "string", default: "50" },
      seed: { type: "string" },
      cluster: { type: "boolean", default: false },
      rate: { type: "string" },
      seconds: { type: "string" },
      data: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return "help";
  const rate = number("--rate", values.rate);
  const seconds = number("--seconds", values.seconds);
  return {
    kills: number("--kills", values.kills)!,
    seed: number("--seed", values.seed) ?? randomInt(2 ** 31),
    cluster: values.cluster,
    ...(rate === undefined ? {} : { rate }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(values.data === undefined ? {} : { dataDir: path.resolve(values.data) }),
  };
}

function number(option: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : wholeNumber(option, text);
}
