import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { fuzz } from "../fuzz/fuzz.ts";
import { GO_SUITES, runGoSuite } from "./go-suite.ts";
import { startLocalAzure } from "./local-azure.ts";
import { runPythonSuite } from "./python-suite.ts";
import { judge, type KnownFailures, type SuiteOptions, type TestResult } from "./results.ts";

const SUITES: readonly { name: string; run: (options: SuiteOptions) => Promise<TestResult[]> }[] = [
  ...GO_SUITES.map((suite) => ({ name: suite.name, run: (options: SuiteOptions) => runGoSuite(suite, options) })),
  { name: "python", run: runPythonSuite },
];

const HELP = `Runs the Azure SDKs' own live tests against the local Service Bus and compares with known-failures.json.

  pnpm conformance [suite…]   ${SUITES.map(({ name }) => name).join(", ")}; all unless named

  --only PATTERN   tests whose name matches
  --host ADDRESS   a loopback address whose ports 5671 and 443 are free (127.0.0.2: a test of the Go suite
                   wants nobody on 127.0.0.1:5671)
  --verbose        what failing tests print, known failures too
  --fuzz SECONDS   instead: what no client should send, to a broker in a process of its own, while one client does
                   everything right (--seed N repeats a run)

Needs Go and Python 3 on PATH. Exit status 1 when a test fails that is not in the list, or a listed one passes.`;

const TEST_MS_MAX = 180_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string", default: "." },
    host: { type: "string", default: "127.0.0.2" },
    fuzz: { type: "string" },
    seed: { type: "string", default: String(randomInt(2 ** 31)) },
    verbose: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (values.help) console.info(HELP);
else process.exitCode = await (values.fuzz === undefined ? main() : fuzzFor(Number(values.fuzz)));

async function fuzzFor(seconds: number): Promise<number> {
  if (!(seconds > 0)) throw new Error(`--fuzz takes a number of seconds, not ${values.fuzz}.`);
  const report = await fuzz({ seconds, seed: Number(values.seed) });
  console.info(JSON.stringify(report, null, 2));
  return report.ended === undefined && report.steady.failures.length === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  const unknown = positionals.find((name) => !SUITES.some((suite) => suite.name === name));
  if (unknown !== undefined) throw new Error(`There is no suite ${unknown}.`);
  const known = JSON.parse(readFileSync(new URL("known-failures.json", import.meta.url), "utf8")) as KnownFailures;
  await using azure = await startLocalAzure(values.host);
  const results: TestResult[] = [];
  for (const suite of SUITES) {
    if (positionals.length > 0 && !positionals.includes(suite.name)) continue;
    const done = await suite.run({
      environment: azure.environment,
      only: new RegExp(values.only),
      testMs: TEST_MS_MAX,
      onResult: (result) => tell(result, known),
    });
    const count = (outcome: TestResult["outcome"]) => done.filter((result) => result.outcome === outcome).length;
    console.info(`${suite.name}: ${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`);
    results.push(...done);
  }
  const { unexpected, mended } = judge(results, known);
  for (const { suite, test } of unexpected) console.info(`fails, and is not in known-failures.json: ${suite} ${test}`);
  for (const { suite, test } of mended) console.info(`passes, and is still in known-failures.json: ${suite} ${test}`);
  return unexpected.length + mended.length > 0 ? 1 : 0;
}

function tell({ suite, test, outcome, ms, output }: TestResult, known: KnownFailures): void {
  const why = known[suite]?.[test]?.why;
  const reason = outcome === "failed" && why !== undefined ? ` (known: ${why})` : "";
  console.info(`${outcome.padEnd(7)}  ${suite} ${test}  ${(ms / 1000).toFixed(1)} s${reason}`);
  if (outcome === "failed" && (why === undefined || values.verbose)) console.info(output);
}
