// Runs a tool of the set-up: no stdin, its output into `.toolchain/setup.log`, the end of it in the error.
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import { inToolchain, toolchain } from "./paths.mjs";

const KEPT_BYTES = 64 * 1024;
const TIMEOUT_MS = 15 * 60_000;

/** @throws when the command cannot be started, takes too long or ends non-zero; the message ends with its last lines */
export async function run(command, args, { cwd, env } = {}) {
  fs.mkdirSync(toolchain, { recursive: true });
  const log = fs.createWriteStream(inToolchain("setup.log"), { flags: "a" });
  log.on("error", () => {}); // a full disk shows itself in the step; the log must not hide it
  log.write(`\n$ ${command} ${args.join(" ")}\n`);
  const child = spawn(command, args, {
    cwd,
    env: { ...cleanEnvironment(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: TIMEOUT_MS,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text) => {
      log.write(text);
      output = (output + text).slice(-KEPT_BYTES);
    });
  }
  const end = await new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(code === 0 ? undefined : `exit ${code ?? signal}`));
  });
  log.end();
  if (end !== undefined) {
    const lines = output.trim().split("\n").slice(-12);
    throw new Error(`${command} ${args[0] ?? ""}: ${end}\n${lines.map((line) => `      ${line}`).join("\n")}`);
  }
  return output;
}

/** The trimmed output of a quick command, or undefined when it is absent or fails. */
export function ask(command, args) {
  const result = spawnSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], timeout: 20_000 });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

/**
 * `npm start` and `pnpm start` tell their children which project they run for. A package manager started
 * for another directory must not inherit that, or it installs into the wrong one.
 */
function cleanEnvironment() {
  const misleading =
    /^(npm_(package|lifecycle|config_(local_)?prefix)|npm_execpath|INIT_CWD|NODE_OPTIONS$|PNPM_SCRIPT)/i;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !misleading.test(name)));
}
