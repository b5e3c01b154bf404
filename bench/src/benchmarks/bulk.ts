import type { BulkClientJobs } from "../processes/bulk-client.ts";
import { FORMS, type Form } from "../processes/bulk-forms.ts";
import type { PredictJobs } from "../processes/predict.ts";
import type { Benchmark } from "../room/benchmark.ts";
import { watchOutcomes } from "../room/outcomes-watch.ts";
import { MANIFEST } from "../room/readings.ts";
import { type Figure, figure, type Ratio, ratio } from "../room/report.ts";
import { interleave, perRound, type Side } from "../room/rounds.ts";
import { inSeries, median, summarize } from "../room/statistics.ts";
import { requestsUrl, startSystem } from "../room/system.ts";
import { startWorker } from "../room/worker.ts";

/** Rows per second. */
type Rates = { whole: number; ingest: number; inference: number };

const BATCHES = [64, 512, 1024, 2048, MANIFEST.batch.rows_max];

/**
 * Rows through everything, from the first byte of the upload to the last outcome, with all services running: against
 * the model alone, and against the pipeline's own stages one after the other. The stages are measured in the same
 * processes: inference is stopped while an upload is accepted, then continued to empty the stream.
 */
export const bulk: Benchmark = {
  about: "rows/s through the whole pipeline (NDJSON, CSV, binary, JSON), against bare predict and its own stages",
  async run({ quick }) {
    const rows = quick ? 30_000 : 100_000;
    const rounds = quick ? 2 : 3;
    await using system = await startSystem();
    await using outcomes = await watchOutcomes(system.run.nats);
    const here = (name: string) => new URL(`../processes/${name}.ts`, import.meta.url);
    await using client = await startWorker<BulkClientJobs>(here("bulk-client"));
    await using model = await startWorker<PredictJobs>(here("predict"));
    const sizes = await client.call("prepare", { rows });
    const backend = await model.call("backend", null);
    const batch = await bestBatch((size) => model.call("predict", { batch: size, ms: 300 }));
    const { token } = system.run;
    const url = requestsUrl(system);
    const inference = system.run.processes.inference!;

    const rate = (began: number) => (rows / (performance.now() - began)) * 1_000;
    const through = (form: Form) => async (): Promise<Rates> => {
      let before = outcomes.count;
      const first = performance.now();
      const { requests } = await client.call("upload", { form, url, token });
      await outcomes.reached(before + requests);
      const whole = rate(first);

      before = outcomes.count;
      process.kill(inference, "SIGSTOP");
      const second = performance.now();
      await client.call("upload", { form, url, token });
      const ingest = rate(second);
      const third = performance.now();
      process.kill(inference, "SIGCONT");
      await outcomes.reached(before + requests);
      return { whole, ingest, inference: rate(third) };
    };
    const forms = Object.fromEntries(FORMS.map((form) => [form, through(form)])) as Record<Form, Side<Rates>>;
    const predict = async (): Promise<Rates> => {
      const alone = await model.call("predict", { batch, ms: 1_000 });
      return { whole: alone, ingest: alone, inference: alone };
    };
    const samples = await interleave<Form | "predict", Rates>({ ...forms, predict }, { rounds });

    const figures: Figure[] = [
      figure(`predict, batches of ${batch}`, "rows/s", summarize(samples.predict.map(({ whole }) => whole))),
    ];
    const ratios: Ratio[] = [];
    for (const form of FORMS) {
      figures.push(
        figure(form, "rows/s", summarize(samples[form].map(({ whole }) => whole))),
        figure(`${form}, ingest alone`, "rows/s", summarize(samples[form].map((of) => of.ingest))),
        figure(`${form}, inference alone`, "rows/s", summarize(samples[form].map((of) => of.inference))),
      );
      ratios.push(
        ratio(
          `${form} / predict`,
          "of the model alone",
          perRound(samples, (of) => of[form].whole / of.predict.whole),
        ),
        ratio(
          `${form} / stages`,
          "of its stages in series",
          perRound(samples, ({ [form]: of }) => of.whole / inSeries([of.ingest, of.inference])),
        ),
      );
    }
    return {
      rounds,
      figures,
      ratios,
      notes: [
        `${rows} readings a round: ${FORMS.map((form) => `${form} ${(sizes[form] / 1e6).toFixed(1)} MB`).join(", ")}; NDJSON with a name for each value`,
        `${backend.name} ${backend.version}, the same settings on both sides; predict's best of batches of ${BATCHES.join(", ")}`,
        "audit, bridge and notifier run all the time; the client shares the machine",
      ],
    };
  },
};

/** The batch size at which the model alone is fastest. */
async function bestBatch(measure: (batch: number) => Promise<number>): Promise<number> {
  let best = { batch: 0, rate: 0 };
  for (const batch of BATCHES) {
    const rate = median([await measure(batch), await measure(batch), await measure(batch)]);
    if (rate > best.rate) best = { batch, rate };
  }
  return best.batch;
}
