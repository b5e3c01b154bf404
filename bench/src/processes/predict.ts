/** The baseline of the `bulk` benchmark: the model by itself, with everything in memory. */
import { type Backend, loadTensorFlow, openModel } from "@millrace/tensorflow";
import { FEATURES, MANIFEST, MODEL_DIR, readings } from "../room/readings.ts";
import { serve } from "../room/worker.ts";

const { tf, backend } = await loadTensorFlow();
const model = await openModel(MODEL_DIR, tf);
model.warmUp();

const jobs = {
  backend: async (_: null): Promise<Backend> => backend,

  /** Rows per second at a batch size; typed arrays in, typed arrays out. */
  async predict({ batch, ms }: { batch: number; ms: number }): Promise<number> {
    const data = Float32Array.from(readings(batch).flat());
    const input = { name: MANIFEST.inputs[0]!.name, datatype: "FP32" as const, shape: [batch, FEATURES.length], data };
    const started = performance.now();
    let rows = 0;
    while (performance.now() - started < ms) {
      model.predict([input]);
      rows += batch;
    }
    return (rows / (performance.now() - started)) * 1_000;
  },
};
export type PredictJobs = typeof jobs;

serve(jobs);
