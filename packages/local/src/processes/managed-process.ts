import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lastLines } from "./log-file.ts";
import type { Reaper } from "./reaper.ts";

/** What to run, asked anew at each start, so that a restart may take another port. */
export type Launch = {
  command: string;
  args: readonly string[];
  /** The whole environment; nothing is inherited by accident. */
  env: Readonly<Record<string, string>>;
  /** Whether the process can do its work now. Called every few milliseconds until it says yes. */
  isReady: () => Promise<boolean>;
};

export type ProcessOptions = {
  name: string;
  launch: () => Promise<Launch>;
  /** Standard output and error are appended here by the process itself: a slow runner never holds it up. */
  logFile: string;
  reaper: Reaper;
  /** Start it again when it dies, as a container engine would: at once, then ever later, up to a bound. */
  restart: boolean;
  ready_ms_max?: number;
  /** Time between SIGTERM and SIGKILL. */
  grace_ms?: number;
  /** Told about each start, each readiness and each death. */
  onChange?: (change: ProcessChange) => void;
};

export type ProcessChange =
  | { kind: "started"; pid: number }
  | { kind: "ready"; pid: number; after_ms: number }
  | { kind: "died"; pid: number; how: string; again_in_ms: number | undefined };

const BACKOFF_FIRST_MS = 200;
const BACKOFF_MAX_MS = 5_000;
/** A process that was ready for this long is taken to be sound: its next death starts the backoff anew. */
const SOUND_MS = 1_000;
/** Deaths in a row after which a start is given up; one or two may be a port that was taken in between. */
const DEATHS_MAX = 5;
const POLL_MS = 40;

/**
 * One child in a process group of its own: started, waited for, restarted and stopped.
 * Ctrl-C in the terminal does not reach it; only its manager stops it, in the order it chooses.
 */
export class ManagedProcess implements AsyncDisposable {
  readonly name: string;
  readonly #options: ProcessOptions;
  #child: ChildProcess | undefined;
  #running: Promise<void> | undefined;
  /** When it became ready, by `performance.now()`; undefined while it is not. */
  #ready_at: number | undefined;
  #deaths = 0;
  #wanted = false;
  #wake = new AbortController();

  constructor(options: ProcessOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** The process id while it runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Starts it, and waits until it is ready.
   * @throws when it is not ready in time, keeps dying, or died and is not restarted: the message ends with its last log
   *   lines; and when the signal says so
   */
  async start(signal?: AbortSignal): Promise<void> {
    if (this.#running !== undefined) throw new Error(`${this.name} is running already`);
    this.#wanted = true;
    this.#wake = new AbortController();
    this.#running = this.#supervise().finally(() => {
      this.#running = undefined;
    });
    this.#running.catch(() => {}); // seen by untilReady and stop
    await this.untilReady(signal);
  }

  /** Waits until the current process, or the one that replaces it, is ready. */
  async untilReady(signal?: AbortSignal): Promise<void> {
    const bound_ms = this.#options.ready_ms_max ?? 30_000;
    const deaths = this.#deaths;
    const deadline = performance.now() + bound_ms;
    while (performance.now() < deadline) {
      if (this.#running === undefined) throw await this.#complaint("ended before it was ready");
      if (this.#ready_at !== undefined) return;
      if (this.#deaths - deaths >= DEATHS_MAX)
        throw await this.#complaint(`died ${DEATHS_MAX} times before it was ready`);
      await sleep(POLL_MS, undefined, { signal });
    }
    throw await this.#complaint(`was not ready within ${bound_ms / 1000} s`);
  }

  /** SIGTERM, a bounded wait, SIGKILL. Resolves when the process and all it started are gone. */
  async stop(): Promise<void> {
    this.#wanted = false;
    this.#wake.abort();
    const child = this.#child;
    child?.kill("SIGTERM");
    const ended = this.#running?.catch(() => {});
    const late = setTimeout(() => killGroup(child?.pid), this.#options.grace_ms ?? 10_000);
    await ended;
    clearTimeout(late);
  }

  /** Sends SIGKILL, as a crash would end it, and waits for the end. Whether it is started again is up to `restart`. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #supervise(): Promise<void> {
    let delay_ms = BACKOFF_FIRST_MS;
    while (this.#wanted) {
      const launch = await this.#options.launch();
      if (!this.#wanted) return;
      const how = await this.#runOnce(launch);
      if (!this.#wanted) return;
      this.#deaths += 1;
      if (how.served_ms > SOUND_MS) delay_ms = BACKOFF_FIRST_MS;
      this.#tell({
        kind: "died",
        pid: how.pid,
        how: how.text,
        again_in_ms: this.#options.restart ? delay_ms : undefined,
      });
      if (!this.#options.restart) return;
      await sleep(delay_ms, undefined, { signal: this.#wake.signal }).catch(() => {});
      delay_ms = Math.min(delay_ms * 2, BACKOFF_MAX_MS);
    }
  }

  async #runOnce(launch: Launch): Promise<{ pid: number; text: string; served_ms: number }> {
    const { logFile, reaper } = this.#options;
    mkdirSync(path.dirname(logFile), { recursive: true });
    const log = openSync(logFile, "a", 0o600);
    const child = spawn(launch.command, launch.args, {
      env: launch.env,
      stdio: ["ignore", log, log],
      detached: true, // a group of its own: killed as a whole, and out of the terminal's reach
    });
    closeSync(log);
    const ended = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    const { pid } = child;
    if (pid === undefined) return { pid: 0, text: await ended, served_ms: 0 };
    reaper.add(pid);
    this.#child = child;
    this.#tell({ kind: "started", pid });
    const over = new AbortController();
    this.#tellWhenReady(pid, launch.isReady, over.signal).catch(() => {});
    const text = await ended;
    over.abort();
    this.#child = undefined;
    const served_ms = this.#ready_at === undefined ? 0 : performance.now() - this.#ready_at;
    this.#ready_at = undefined;
    killGroup(pid); // what it left behind, such as its workers
    reaper.remove(pid);
    return { pid, text, served_ms };
  }

  /** Asks until the answer is yes or the process is over; a start that hangs is `untilReady`'s to judge. */
  async #tellWhenReady(pid: number, isReady: Launch["isReady"], over: AbortSignal): Promise<void> {
    const began = performance.now();
    while (!over.aborted) {
      const ready = await isReady().catch(() => false);
      if (over.aborted) return;
      if (ready) {
        this.#ready_at = performance.now();
        return this.#tell({ kind: "ready", pid, after_ms: performance.now() - began });
      }
      await sleep(POLL_MS);
    }
  }

  #tell(change: ProcessChange): void {
    this.#options.onChange?.(change);
  }

  async #complaint(what: string): Promise<Error> {
    const lines = await lastLines(this.#options.logFile, 8);
    return new Error([`${this.name} ${what}; ${this.#options.logFile} ends with:`, ...lines].join("\n    "));
  }
}

/** SIGKILL to a whole group; nothing when it is gone. */
export function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // ESRCH: nobody left
  }
}
