import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CACHE } from "./cache.ts";
import type { SuiteOptions, TestResult } from "./results.ts";

const FOLDER = fileURLToPath(new URL("python", import.meta.url));
const REQUIREMENTS = path.join(FOLDER, "requirements.txt");
const INSTALL_MS = 600_000;

/**
 * Runs the smoke test of the Python SDK; pip installs it once, and checks the hashes.
 * @throws Error when Python is missing, or pip cannot install what is pinned
 */
export async function runPythonSuite(options: SuiteOptions): Promise<TestResult[]> {
  const python = await prepare();
  const child = spawn(python, [path.join(FOLDER, "smoke.py"), options.only.source], {
    env: { ...process.env, ...options.environment },
    stdio: ["ignore", "pipe", "inherit"],
    timeout: options.testMs,
  });
  const results: TestResult[] = [];
  for await (const line of createInterface(child.stdout)) {
    const result = { suite: "python", ...(JSON.parse(line) as Omit<TestResult, "suite">) };
    options.onResult(result);
    results.push(result);
  }
  if (child.exitCode === null) await new Promise((resolve) => child.once("exit", resolve));
  if (child.exitCode !== 0) {
    const output = `The program ended with ${child.exitCode ?? child.signalCode} before its last test.`;
    results.push({ suite: "python", test: "the program itself", outcome: "failed", ms: 0, output });
    options.onResult(results.at(-1)!);
  }
  return results;
}

/** @returns the interpreter of an environment that has the SDK */
async function prepare(): Promise<string> {
  const version = createHash("sha256").update(readFileSync(REQUIREMENTS)).digest("hex").slice(0, 16);
  const environment = path.join(CACHE, `python-${version}`);
  const python = path.join(environment, "bin", "python");
  if (existsSync(python)) return python;
  await mkdir(CACHE, { recursive: true });
  const unfinished = `${environment}.${process.pid}`;
  const run = (file: string, args: readonly string[]) => promisify(execFile)(file, args, { timeout: INSTALL_MS });
  try {
    await run("python3", ["-m", "venv", unfinished]);
    await run(path.join(unfinished, "bin", "python"), [
      ...["-m", "pip", "install", "--quiet", "--disable-pip-version-check"],
      ...["--require-hashes", "--requirement", REQUIREMENTS],
    ]);
    await rename(unfinished, environment);
    return python;
  } catch (cause) {
    const { code, stderr } = cause as { code?: unknown; stderr?: string };
    const why = code === "ENOENT" ? "python3 is not on PATH" : (stderr ?? String(cause)).trim();
    throw new Error(`The Python SDK cannot be installed: ${why}.`, { cause });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}
