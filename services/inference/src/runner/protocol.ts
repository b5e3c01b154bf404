/**
 * What the service and its model process say to each other, over the IPC channel of `fork` with `serialization:
 * "advanced"`: typed arrays cross as bytes, no float is printed. Runs are answered in the order they were sent.
 */
import type { Manifest, Tensor } from "@millrace/contracts";
import type { Backend } from "@millrace/tensorflow";

export type ToChild = { readonly kind: "run"; readonly id: number; readonly inputs: readonly Tensor[] };

export type FromChild =
  /** The model is loaded and warm. */
  | {
      readonly kind: "ready";
      readonly manifest: Manifest;
      readonly digest: string;
      readonly backend: Backend;
      readonly fallbackReason?: string;
      readonly rss_bytes: number;
    }
  /** The model cannot be served; the process ends. */
  | { readonly kind: "refused"; readonly reason: string }
  | {
      readonly kind: "result";
      readonly id: number;
      readonly outputs: readonly Tensor[];
      readonly started_at_ms: number;
      readonly compute_ms: number;
      readonly rss_bytes: number;
    }
  | { readonly kind: "failure"; readonly id: number; readonly detail: string; readonly rss_bytes: number };
