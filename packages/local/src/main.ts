import { readFileSync } from "node:fs";
import { obeyParent } from "./cluster-commands.ts";
import type { Demo } from "./demo/demo.ts";
import { demoRule, secretInVault, WEBHOOK_SECRET } from "./demo/rule.ts";
import { stageOf } from "./demo/summary.ts";
import { watchLogs } from "./log-watch.ts";
import { startMillrace } from "./millrace.ts";
import { HELP, type Options, parseOptions } from "./options.ts";
import { Screen } from "./screen.ts";
import { stopRequests } from "./stop-requests.ts";

process.exit(await main(process.argv.slice(2)));

async function main(args: string[]): Promise<number> {
  let options: Options | "help";
  try {
    options = parseOptions(args, process.cwd());
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    return 2;
  }
  if (options === "help") {
    console.log(HELP);
    return 0;
  }
  return await run(options, new Screen(process.stdout));
}

/** Runs until it is told to stop; a start that fails leaves nothing behind. */
async function run(options: Options, screen: Screen): Promise<number> {
  using stop = stopRequests((why) => screen.say(`\n${why}: stopping what runs, in order`));
  try {
    screen.heading("Starting Millrace");
    await serve(options, screen, stop.signal);
  } catch (error) {
    if (!stop.signal.aborted) {
      screen.say(`\nMillrace stopped. ${(error as Error).message}`);
      return 1;
    }
  }
  screen.say("Stopped.");
  return 0;
}

async function serve(options: Options, screen: Screen, signal: AbortSignal): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const ownRules = readRules(options.rules);
  const demo: Demo | undefined = options.demo ? stack.use(await loadDemo(screen)) : undefined;
  const millrace = stack.use(
    await startMillrace({
      ...options,
      rules: (keyVault) => [...ownRules, ...(demo ? [demoRule(demo.webhook.url, secretInVault(keyVault))] : [])],
      secrets: demo ? { [WEBHOOK_SECRET]: demo.webhook.secret } : {},
      signal,
      onChange: (name, change) => screen.change(name, change),
    }),
  );
  if (millrace.cluster !== undefined) stack.use(obeyParent(millrace.cluster));
  screen.serving();
  stack.use(watchLogs(millrace.dataDir.file("logs"), (warning) => screen.warn(warning)));
  screen.row("ready", `${millrace.run.http}; how to get in: ${millrace.runFile}`);
  if (demo !== undefined) return await demo.play(stageOf(millrace, screen), signal);
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}

/** Loaded only when it is wanted. */
async function loadDemo(screen: Screen): Promise<Demo> {
  const { openDemo } = await import("./demo/demo.ts");
  return await openDemo(screen);
}

function readRules(file: string | undefined): unknown[] {
  if (file === undefined) return [];
  const { rules } = JSON.parse(readFileSync(file, "utf8")) as { rules?: unknown };
  if (!Array.isArray(rules)) throw new Error(`${file} must hold {"rules": [...]}, as the notifier reads it`);
  return rules;
}
