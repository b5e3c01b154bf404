import { execFile, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CACHE } from "./cache.ts";
import type { SuiteOptions, TestResult } from "./results.ts";

const MODULE = fileURLToPath(new URL("go", import.meta.url));
const SDK = "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus";
const BUILD_MS = 600_000;
const OUTPUT_BYTES = 1 << 20;

/** A package of the Go SDK, whose tests are run one by one, each in a process of its own. */
export interface GoSuite {
  /** As results and the list of known failures name it. */
  readonly name: string;
  readonly importPath: string;
  /** Tests at the same time: they make entities of their own, but some list all there are. */
  readonly atOnce: number;
}

export const GO_SUITES: readonly GoSuite[] = [
  { name: "azservicebus", importPath: SDK, atOnce: 4 },
  { name: "admin", importPath: `${SDK}/admin`, atOnce: 1 },
];

/** These name their queues by the second: two that begin in the same one would share a queue. */
const IN_TURN = /^TestRenewLocks|^TestReceiveWithDelay/;

/**
 * Builds a suite (Go keeps what is built) and runs it.
 * @throws Error when Go is missing, or the SDK's module is not what `go.sum` says
 */
export async function runGoSuite(suite: GoSuite, options: SuiteOptions): Promise<TestResult[]> {
  const built = await build(suite);
  const listed = await promisify(execFile)(built.binary, ["-test.list", "."], {
    cwd: built.cwd,
    env: { ...process.env, ...options.environment },
  });
  const tests = listed.stdout.split("\n").filter((name) => name.startsWith("Test") && options.only.test(name));
  const results: TestResult[] = [];
  const work = async (waiting: string[]) => {
    for (let test = waiting.shift(); test !== undefined; test = waiting.shift()) {
      const result = await runTest({ ...built, suite: suite.name, test }, options);
      options.onResult(result);
      results.push(result);
    }
  };
  const anyTime = tests.filter((name) => !IN_TURN.test(name));
  const inTurn = tests.filter((name) => IN_TURN.test(name));
  await Promise.all([
    work(inTurn).then(() => work(anyTime)),
    ...Array.from({ length: suite.atOnce - 1 }, () => work(anyTime)),
  ]);
  return results;
}

interface Built {
  readonly binary: string;
  /** Tests read files beside their sources. */
  readonly cwd: string;
}

async function build({ name, importPath }: GoSuite): Promise<Built> {
  await mkdir(CACHE, { recursive: true });
  const binary = path.join(CACHE, `${name}.test`);
  const go = (args: readonly string[]) => promisify(execFile)("go", args, { cwd: MODULE, timeout: BUILD_MS });
  try {
    await go(["test", "-mod=readonly", "-c", "-o", binary, importPath]);
    const { stdout } = await go(["list", "-mod=readonly", "-f", "{{.Dir}}", importPath]);
    return { binary, cwd: stdout.trim() };
  } catch (cause) {
    const { code, stderr } = cause as { code?: unknown; stderr?: string };
    const why = code === "ENOENT" ? "Go (1.25 or later) is not on PATH" : (stderr ?? String(cause)).trim();
    throw new Error(`The tests of ${importPath} cannot be built: ${why}.`, { cause });
  }
}

/** What Go prints for the test itself; its parts are indented. */
const VERDICT = /^--- (PASS|FAIL|SKIP): (\S+) /m;

function runTest(at: Built & { suite: string; test: string }, options: SuiteOptions): Promise<TestResult> {
  const { binary, cwd, suite, test } = at;
  const began = performance.now();
  const child = spawn(
    binary,
    ["-test.v", "-test.run", `^${test}$`, "-test.timeout", `${options.testMs}ms`],
    // A test binary that finds settings in a parent folder's .env would use them.
    { cwd, env: { ...process.env, ...options.environment }, stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  const collect = (text: string) => {
    output = (output + text).slice(-OUTPUT_BYTES);
  };
  child.stdout.setEncoding("utf8").on("data", collect);
  child.stderr.setEncoding("utf8").on("data", collect);
  const late = setTimeout(() => child.kill("SIGKILL"), options.testMs + 5_000);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(late);
      const said = VERDICT.exec(output)?.[1];
      const passed = code === 0 && said !== undefined;
      const outcome = passed ? (said === "SKIP" ? "skipped" : "passed") : "failed";
      resolve({ suite, test, outcome, ms: performance.now() - began, output });
    });
  });
}
