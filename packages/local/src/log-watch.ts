import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { readFrom } from "./processes/log-file.ts";

const INTERVAL_MS = 500;
/** A process that warns in a loop fills its log, not the terminal. */
const LINES_PER_MINUTE = 10;
const SHOWN_CHARACTERS = 160;

export type Warning = { process: string; level: string; text: string };

/** Follows the logs in a directory and tells of what is written as a warning or worse from now on. */
export function watchLogs(directory: string, tell: (warning: Warning) => void): AsyncDisposable {
  const positions = new Map<string, number>();
  const budget = new Map<string, { since_ms: number; left: number }>();
  let stopped = false;

  const look = async () => {
    for (const name of await readdir(directory)) {
      if (!name.endsWith(".log")) continue;
      const file = path.join(directory, name);
      const { size } = await stat(file);
      const from = positions.get(file);
      if (from === undefined || size <= from) {
        positions.set(file, size); // what stands there when we begin is of the past
        continue;
      }
      const text = await readFrom(file, from);
      const whole = text.slice(0, text.lastIndexOf("\n") + 1);
      positions.set(file, from + Buffer.byteLength(whole || text));
      for (const line of whole.split("\n")) show(path.basename(name, ".log"), line);
    }
  };
  const show = (process: string, line: string) => {
    const warning = readWarning(line);
    if (warning === undefined) return;
    const now = performance.now();
    let mine = budget.get(process);
    if (mine === undefined || now - mine.since_ms > 60_000) mine = { since_ms: now, left: LINES_PER_MINUTE };
    budget.set(process, { ...mine, left: mine.left - 1 });
    if (mine.left > 0) tell({ process, ...warning });
    else if (mine.left === 0) tell({ process, level: "warn", text: "more of these are in its log" });
  };
  const follow = async () => {
    while (!stopped) {
      await look().catch(() => {}); // a log that was just rotated away
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS).unref());
    }
  };
  const following = follow();
  return {
    async [Symbol.asyncDispose]() {
      stopped = true;
      await Promise.race([following, new Promise((resolve) => setTimeout(resolve, 2 * INTERVAL_MS))]);
    },
  };
}

/** A line of our own JSON logs or of nats-server's text, when it is a warning or worse. */
export function readWarning(line: string): { level: string; text: string } | undefined {
  const nats = /\[(WRN|ERR|FTL)\] (.*)/.exec(line);
  if (nats?.[2]?.startsWith("Plaintext passwords")) return undefined; // in a file that only its owner can read
  if (nats !== null) return { level: { WRN: "warn", ERR: "error", FTL: "fatal" }[nats[1]!]!, text: shorten(nats[2]!) };
  if (!/"level":"(warn|error|fatal)"/.test(line)) return undefined; // most lines: not worth parsing
  try {
    const entry = JSON.parse(line) as { level: string; msg?: string; err?: { message?: string } };
    const text = [entry.msg, entry.err?.message].filter((part) => part !== undefined && part !== "").join(": ");
    return { level: entry.level, text: shorten(text) };
  } catch {
    return undefined;
  }
}

const shorten = (text: string) => {
  const [first = ""] = text.split("\n");
  return first.length > SHOWN_CHARACTERS ? `${first.slice(0, SHOWN_CHARACTERS - 1)}…` : first;
};
