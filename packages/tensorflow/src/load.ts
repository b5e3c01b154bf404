/**
 * Loads TensorFlow.js on the fastest backend this machine has, without ever downloading anything.
 *
 * Native is `@tensorflow/tfjs-node`: TensorFlow itself behind an N-API addon, which `scripts/setup` builds. Where the
 * addon is missing or does not load, WASM (SIMD, one thread) computes the same numbers within float tolerance.
 */
import util from "node:util";
import type * as TensorFlowJs from "@tensorflow/tfjs";

/** The TensorFlow.js API, whichever backend is behind it. */
export type TensorFlow = typeof TensorFlowJs;

export type BackendName = "tensorflow-native" | "tensorflow-wasm";

/** What computes, as outcomes and logs name it. `version` is TensorFlow's own (native) or the WASM package's. */
export interface Backend {
  readonly name: BackendName;
  readonly version: string;
}

export interface LoadedTensorFlow {
  readonly tf: TensorFlow;
  readonly backend: Backend;
  /** Present when native was wanted and WASM serves: why, in words an operator can act on. */
  readonly fallbackReason?: string;
}

export interface LoadOptions {
  /** `native` throws where the addon does not load, `wasm` never tries it; left out, native with WASM as the fallback. */
  readonly backend?: "native" | "wasm";
}

/** Sets the process-wide backend of TensorFlow.js: choose once per process. */
export async function loadTensorFlow({ backend }: LoadOptions = {}): Promise<LoadedTensorFlow> {
  if (backend === "wasm") return await loadWasm();
  try {
    return await loadNative();
  } catch (cause) {
    const why = `Native TensorFlow does not load (${firstLine(cause)}). Run the set-up once ("npm run setup") to build it`;
    if (backend === "native") throw new Error(`${why}, or choose the WASM backend.`, { cause });
    return { ...(await loadWasm()), fallbackReason: `${why}; the WASM backend serves until then.` };
  }
}

async function loadNative(): Promise<LoadedTensorFlow> {
  // Read by the C library when it starts. One thread per op doubles the rate of small models: their ops are too short
  // to be worth a hand-over. The inter-op setting stays TensorFlow's own.
  process.env.TF_NUM_INTRAOP_THREADS ??= "1";
  process.env.TF_CPP_MIN_LOG_LEVEL ??= "2"; // errors only; TensorFlow logs to stderr in its own format
  restoreUtilFunctions();
  const native = await import("@tensorflow/tfjs-node").then((module) => module.default ?? module);
  const tf = native as unknown as TensorFlow;
  if (!(await tf.setBackend("tensorflow"))) throw new Error("tfjs-node registered no backend named tensorflow");
  const binding = (tf.backend() as unknown as { binding?: { TF_Version?: string } }).binding;
  return { tf, backend: { name: "tensorflow-native", version: binding?.TF_Version ?? native.version_core } };
}

async function loadWasm(): Promise<LoadedTensorFlow> {
  const [tf, wasm] = await Promise.all([
    import("@tensorflow/tfjs").then((module) => (module.default ?? module) as TensorFlow),
    import("@tensorflow/tfjs-backend-wasm").then((module) => module.default ?? module),
  ]);
  // The threaded build brings a pool of workers that costs more than it gives at the sizes of our batches.
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  if (!(await tf.setBackend("wasm")))
    throw new Error("The WASM backend of TensorFlow.js does not start on this machine.");
  return { tf, backend: { name: "tensorflow-wasm", version: wasm.version_wasm } };
}

/**
 * tfjs-node 4.22.0 calls `util.isNullOrUndefined` and `util.isArray`. Node 23 removed the first and warns about the
 * second (DEP0044). The fix is merged upstream and not released.
 */
function restoreUtilFunctions(): void {
  const legacy = util as unknown as {
    isNullOrUndefined?: (value: unknown) => boolean;
    isArray: (value: unknown) => boolean;
  };
  legacy.isNullOrUndefined ??= (value) => value === null || value === undefined;
  legacy.isArray = Array.isArray;
}

const firstLine = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).split("\n", 1)[0]!.replace(/[.\s]+$/, "");
