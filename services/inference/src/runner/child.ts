/**
 * The model process: loads one model folder and computes. TensorFlow blocks the event loop and may crash, which is why
 * it lives here and not beside the NATS connection. Arguments: the folder, and `native` or `wasm` to insist on one.
 */
import { loadTensorFlow, type Model, openModel } from "@millrace/tensorflow";
import type { FromChild, ToChild } from "./protocol.ts";

const [folder, backend] = process.argv.slice(2);
if (!folder || !process.send) throw new Error("This is a part of the inference service and is started by it.");

// Ctrl-C reaches the whole group; the service drains what is under way and then ends this process itself.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
process.on("disconnect", () => process.exit(0));

try {
  const loaded = await loadTensorFlow(backend === "native" || backend === "wasm" ? { backend } : {});
  const model = await openModel(folder, loaded.tf);
  model.warmUp();
  const { manifest, digest } = model;
  const { fallbackReason } = loaded;
  process.on("message", (message: ToChild) => send(compute(model, message)));
  send({
    kind: "ready",
    manifest,
    digest,
    backend: loaded.backend,
    ...(fallbackReason === undefined ? {} : { fallbackReason }),
    rss_bytes: process.memoryUsage.rss(),
  });
} catch (cause) {
  const reason = cause instanceof Error ? cause.message : String(cause);
  process.send({ kind: "refused", reason } satisfies FromChild, () => process.exit(1));
}

function compute(model: Model, { id, inputs }: ToChild): FromChild {
  const started_at_ms = Date.now();
  const started = performance.now();
  try {
    const outputs = model.predict(inputs);
    const compute_ms = performance.now() - started;
    return { kind: "result", id, outputs, started_at_ms, compute_ms, rss_bytes: process.memoryUsage.rss() };
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    return { kind: "failure", id, detail, rss_bytes: process.memoryUsage.rss() };
  }
}

function send(message: FromChild): void {
  process.send?.(message);
}
