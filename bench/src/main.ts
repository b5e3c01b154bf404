import { parseArgs } from "node:util";
import { accept } from "./benchmarks/accept.ts";
import { admission } from "./benchmarks/admission.ts";
import { backlog } from "./benchmarks/backlog.ts";
import { bridge } from "./benchmarks/bridge.ts";
import { bulk } from "./benchmarks/bulk.ts";
import { bus } from "./benchmarks/bus.ts";
import { drain } from "./benchmarks/drain.ts";
import { flood } from "./benchmarks/flood.ts";
import { latency } from "./benchmarks/latency.ts";
import { memory } from "./benchmarks/memory.ts";
import { pipeline } from "./benchmarks/pipeline.ts";
import { servicebus } from "./benchmarks/servicebus.ts";
import type { Benchmark, RunOptions } from "./room/benchmark.ts";
import { describeMachine } from "./room/machine.ts";
import { type Report, render } from "./room/report.ts";

const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  bus,
  accept,
  bulk,
  bridge,
  servicebus,
  latency,
  memory,
  drain,
  pipeline,
  backlog,
  admission,
  flood,
};

const HELP = [
  "npm run bench -- [NAME…] [--json] [--quick] [--size N]    Measures side by side with a baseline; all when no name is given.",
  "",
  ...Object.entries(BENCHMARKS).map(([name, { about }]) => `  ${name.padEnd(9)}${about}`),
  "",
  "  --json     one JSON document on standard output, progress on standard error",
  "  --quick    fewer and shorter rounds",
  "  --size N   so many requests, where a benchmark has a size (drain, pipeline, backlog, flood, servicebus)",
].join("\n");

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      size: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const unknown = positionals.filter((name) => !Object.hasOwn(BENCHMARKS, name));
  if (unknown.length > 0) {
    console.error(`There is no benchmark named ${unknown.join(", ")}.\n\n${HELP}`);
    return 2;
  }
  const size = values.size === undefined ? undefined : Number(values.size);
  if (size !== undefined && !(Number.isSafeInteger(size) && size >= 100)) {
    console.error(`--size wants a whole number of at least 100, not ${values.size}`);
    return 2;
  }
  const options = { quick: values.quick, ...(size === undefined ? {} : { size }) };
  return run(positionals.length > 0 ? positionals : Object.keys(BENCHMARKS), values.json, options);
}

/** One after the other: two at once would measure each other. A benchmark that fails does not stop the rest. */
async function run(names: readonly string[], json: boolean, options: RunOptions): Promise<number> {
  const machine = await describeMachine();
  const say = json ? console.error : console.log;
  const { cores, cpu, node, nats_server, tensorflow, load_before } = machine;
  say(
    `${cores} cores (${cpu}), node ${node}, nats-server ${nats_server}, ${tensorflow}, load ${load_before.toFixed(2)}`,
  );
  const benchmarks: Record<string, Report | { error: string }> = {};
  let failed = 0;
  for (const name of names) {
    const began = performance.now();
    try {
      const report = await BENCHMARKS[name]!.run(options);
      benchmarks[name] = report;
      say(`${render(name, report)}\n  · took ${((performance.now() - began) / 1_000).toFixed(0)} s`);
    } catch (cause) {
      failed++;
      benchmarks[name] = { error: cause instanceof Error ? cause.message : String(cause) };
      console.error(`\n${name} failed:`, cause);
    }
  }
  if (json) console.log(JSON.stringify({ machine, ...options, benchmarks }, null, 2));
  return failed === 0 ? 0 : 1;
}
