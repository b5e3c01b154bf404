/**
 * pnpm deploy:observability: what only the real tools can say. promtool checks Prometheus's configuration and rules and runs
 * the unit tests of the alerts; it is taken from PATH or .toolchain, or built there (deploy/tools).
 * The collector checks its own configuration where one is on PATH (`otelcol-contrib`). `--promtool FILE`, `--collector FILE`.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { goTool, onPath } from "@millrace/deploy-tools";
import { HERE, text } from "./files.ts";

const { values } = parseArgs({ options: { promtool: { type: "string" }, collector: { type: "string" } } });
let failed = false;

try {
  const promtool = values.promtool ?? goTool("promtool");
  check(promtool, ["check", "rules", "rules/millrace.yaml"]);
  check(promtool, ["test", "rules", "tests/alerts.yaml"]);
  checkConfig(promtool);
} catch (error) {
  fail((error as Error).message);
}

const collector = values.collector ?? onPath("otelcol-contrib");
if (collector) check(collector, ["validate", "--config=otel-collector.yaml"]);
else console.log("otel-collector.yaml was not validated: otelcol-contrib is not on PATH");
if (failed) process.exitCode = 1;

/** The configuration as it is in the container, with the rules where they are here. */
function checkConfig(promtool: string): void {
  const directory = mkdtempSync(path.join(tmpdir(), "millrace-prometheus-"));
  try {
    const file = path.join(directory, "prometheus.yaml");
    writeFileSync(file, text("prometheus.yaml").replaceAll("/etc/prometheus", HERE));
    check(promtool, ["check", "config", file]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function check(command: string, args: string[]): void {
  const { status, error } = spawnSync(command, args, { cwd: HERE, stdio: "inherit", timeout: 120_000 });
  if (error || status !== 0)
    fail(`${path.basename(command)} ${args.join(" ")}: ${error?.message ?? `ended with ${status}`}`);
}

function fail(message: string): void {
  failed = true;
  console.error(message);
}
