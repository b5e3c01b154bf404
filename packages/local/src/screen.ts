import type { WriteStream } from "node:tty";
import type { Warning } from "./log-watch.ts";
import type { ProcessChange } from "./processes/managed-process.ts";

const STYLES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  yellow: [33, 39],
  green: [32, 39],
  cyan: [36, 39],
} as const;
export type Style = keyof typeof STYLES;

/** Plain lines of at most 100 columns; styled on a terminal, unless NO_COLOR (https://no-color.org) is set. */
export class Screen {
  readonly #out: WriteStream;
  readonly #styled: boolean;
  #serving = false;

  constructor(out: WriteStream, env: NodeJS.ProcessEnv = process.env) {
    this.#out = out;
    this.#styled = out.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb";
    out.on("error", () => {}); // the reader of our output went away: nobody to tell
  }

  say(line = ""): void {
    this.#out.write(`${line}\n`);
  }

  style(style: Style, text: string): string {
    if (!this.#styled) return text;
    const [on, off] = STYLES[style];
    return `\x1b[${on}m${text}\x1b[${off}m`;
  }

  heading(text: string): void {
    this.say(`\n${this.style("bold", text)}`);
  }

  /** `  name          what happened`, in one column for all. */
  row(name: string, text: string): void {
    this.say(`  ${this.style("cyan", name.padEnd(14))}${text}`);
  }

  /** What happens to a process: while starting, that it is up; later, that it died and came back. */
  change(name: string, change: ProcessChange): void {
    if (change.kind === "ready")
      this.row(
        name,
        `${this.#serving ? "ready again" : "ready"} ${this.style("dim", `(pid ${change.pid}, ${seconds(change.after_ms)})`)}`,
      );
    if (change.kind !== "died") return;
    const next = change.again_in_ms === undefined ? "" : `; starting it again in ${seconds(change.again_in_ms)}`;
    this.row(name, this.style("yellow", `ended (${change.how})${next}`));
  }

  warn({ process, level, text }: Warning): void {
    this.row(process, `${this.style(level === "warn" ? "yellow" : "red", level)} ${text}`);
  }

  serving(): void {
    this.#serving = true;
  }
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
