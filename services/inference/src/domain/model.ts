/** What the rules here need of a model that is being served; `ModelRunner` is the one that runs it in a process. */
import type { Manifest, Tensor } from "@millrace/contracts";

export interface ServedModel {
  readonly manifest: Manifest;
  /** `sha256:<hex>` of the artifact. */
  readonly digest: string;
  /** What computes, as outcomes name it. */
  readonly backend: { readonly name: string; readonly version: string };
  readonly run: Run;
}

/** Runs rows through the model; a failure is a value. Waits for its turn. @throws RunnerClosedError */
export type Run = (inputs: readonly Tensor[]) => Promise<RunResult>;

export type RunResult =
  | { readonly ok: true; readonly outputs: readonly Tensor[]; readonly started_at: Date; readonly compute_ms: number }
  | { readonly ok: false; readonly why: RunFailure; readonly detail: string };

/** Why a run of the model gave nothing. */
export type RunFailure =
  /** The graph refused the input: it will again. */
  | "failed"
  /** The process died during the run: of the input, or of something else. */
  | "crashed"
  /** The run took longer than the model's limit. */
  | "timeout";

/** The service stops: the run was not done, and nothing is wrong with it. */
export class RunnerClosedError extends Error {
  constructor() {
    super("the model runner is closed");
    this.name = "RunnerClosedError";
  }
}
