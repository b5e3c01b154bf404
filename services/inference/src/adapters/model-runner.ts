/**
 * Keeps one model process alive and feeds it: a queue of runs, two of them with the process so that the next is there
 * when one ends, a time limit on the one that computes, and a new process when the old one dies or grows too large.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Tensor } from "@millrace/contracts";
import type { Logger } from "@millrace/kit";
import { type RunFailure, RunnerClosedError, type RunResult, type ServedModel } from "../domain/model.ts";
import { restartDelay } from "../domain/restart.ts";
import { type ModelProcess, type ModelProcessOptions, type Reply, startModelProcess } from "./model-process.ts";
import { afterRunning } from "./running-time.ts";

export interface ModelRunnerOptions extends Omit<ModelProcessOptions, "onLog"> {
  /** Resident memory past which the process is replaced between two runs. */
  readonly memory_max_bytes: number;
  readonly log: Logger;
  /** Aborted when the service begins to stop: a model that does not start is then given up after one more try. */
  readonly stopping: AbortSignal;
}

export interface ModelRunner extends ServedModel, AsyncDisposable {
  /** Why WASM computes where native was wanted. */
  readonly fallbackReason: string | undefined;
  /** Of the process that computes now; undefined while there is none. */
  readonly pid: number | undefined;
  readonly rss_bytes: number;
  /** Processes started after the first. */
  readonly restarts: number;
}

/** Runs with the process at once: one computing, one already in its pipe. */
const DEPTH = 2;

interface Job {
  readonly id: number;
  readonly inputs: readonly Tensor[];
  readonly settle: (result: RunResult) => void;
  readonly refuse: (error: Error) => void;
}

/**
 * Starts the first process and waits for it.
 * @throws Error when the model cannot be served, with the reason; later failures to start are tried again for ever.
 */
export async function startModelRunner(options: ModelRunnerOptions): Promise<ModelRunner> {
  const { log, memory_max_bytes } = options;
  const onLog = (line: string) => log.warn({ folder: options.folder, stderr: line.slice(0, 2_000) }, "model process");
  const queue: Job[] = [];
  const sent: Job[] = [];
  const closing = new AbortController();
  const wakened = AbortSignal.any([closing.signal, options.stopping]);
  let closed = false;
  let nextId = 0;
  let restarts = 0;
  let failures = 0;
  let rss_bytes = 0;
  let limit: Disposable | undefined;
  /** Set when this side ends the process, to tell it from a crash. */
  let ending: "timeout" | "replaced" | undefined;
  let current: ModelProcess | undefined;

  const first = await startModelProcess({ ...options, onLog });
  const { manifest, digest, backend, fallbackReason } = first.ready;
  if (first.ready.rss_bytes > memory_max_bytes) {
    first.kill();
    const [used, allowed] = [first.ready.rss_bytes, memory_max_bytes].map((bytes) => Math.round(bytes / 2 ** 20));
    throw new Error(
      `${manifest.name} needs ${used} MiB when idle, more than RUNNER_MEMORY_MAX_MIB (${allowed}): raise it`,
    );
  }
  adopt(first);

  function adopt(started: ModelProcess): void {
    current = started;
    ending = undefined;
    rss_bytes = started.ready.rss_bytes;
    started.onReply = onReply;
    void started.ended.then(({ how }) => onEnd(how));
    feed();
  }

  function feed(): void {
    while (current && !ending && sent.length < DEPTH && queue.length > 0) {
      const job = queue.shift()!;
      sent.push(job);
      current.send({ kind: "run", id: job.id, inputs: job.inputs });
      if (sent.length === 1) watch();
    }
  }

  /** The limit of the run that computes starts when the one before it ends. */
  function watch(): void {
    limit?.[Symbol.dispose]();
    if (sent.length > 0) limit = afterRunning(manifest.timeout_ms, () => end("timeout"));
  }

  function end(why: "timeout" | "replaced"): void {
    ending = why;
    current?.kill();
  }

  function onReply(reply: Reply): void {
    const job = sent.shift();
    if (job?.id !== reply.id) throw new Error(`model process answered run ${reply.id}, not ${job?.id}`);
    failures = 0;
    rss_bytes = reply.rss_bytes;
    if (reply.kind === "result") {
      const { outputs, compute_ms } = reply;
      job.settle({ ok: true, outputs, compute_ms, started_at: new Date(reply.started_at_ms) });
    } else {
      job.settle({ ok: false, why: "failed", detail: reply.detail });
    }
    watch();
    if (rss_bytes > memory_max_bytes && !ending) {
      log.warn({ model: manifest.name, rss_mib: Math.round(rss_bytes / 2 ** 20) }, "model process outgrew its memory");
      end("replaced");
    } else feed();
  }

  function onEnd(how: string): void {
    limit?.[Symbol.dispose]();
    const why = ending;
    current = undefined;
    // Whom the process was computing for; the ones behind were not touched and just go to the next process.
    const head = why === "replaced" ? undefined : sent.shift();
    queue.unshift(...sent.splice(0));
    if (head) {
      const failure: RunFailure = why === "timeout" ? "timeout" : "crashed";
      const detail =
        why === "timeout"
          ? `the run took longer than ${manifest.timeout_ms} ms`
          : `the model process ended (${how}) during the run`;
      head.settle({ ok: false, why: failure, detail });
    }
    if (closed) {
      refuseAll();
      return;
    }
    if (why !== "replaced") log.warn({ model: manifest.name, how, why }, "model process ended; starting another");
    void restart();
  }

  async function restart(): Promise<void> {
    for (let lastTry = false; !closed && !lastTry; ) {
      failures++;
      await pause(restartDelay(failures), wakened);
      if (closed) break;
      lastTry = options.stopping.aborted;
      restarts++;
      try {
        const started = await startModelProcess({ ...options, onLog });
        if (!closed) {
          adopt(started);
          return;
        }
        started.kill();
      } catch (err) {
        log.error({ err, model: manifest.name, failures }, "model process does not start; trying again");
      }
    }
    closed = true;
    refuseAll();
  }

  function refuseAll(): void {
    for (const job of [...sent.splice(0), ...queue.splice(0)]) job.refuse(new RunnerClosedError());
  }

  return {
    manifest,
    digest,
    backend,
    fallbackReason,
    get pid() {
      return current?.pid;
    },
    get rss_bytes() {
      return rss_bytes;
    },
    get restarts() {
      return restarts;
    },
    run: (inputs) =>
      new Promise((settle, refuse) => {
        if (closed) return refuse(new RunnerClosedError());
        queue.push({ id: nextId++, inputs, settle, refuse });
        feed();
      }),
    async [Symbol.asyncDispose]() {
      closed = true;
      closing.abort();
      limit?.[Symbol.dispose]();
      const process = current;
      process?.kill();
      await process?.ended;
      refuseAll();
    },
  };
}

/** Waits, but not past the moment when the service begins to stop. */
const pause = (ms: number, signal: AbortSignal): Promise<void> => sleep(ms, undefined, { signal }).catch(() => {});
