import type { RequestDelivery, RequestVerdict } from "@millrace/bus";
import { type DecodedRequest, decodeRequest, type ErrorCode, problem, type Tensor } from "@millrace/contracts";
import { type ItemResult, runIsolated } from "../domain/isolate.ts";
import { type RunFailure, RunnerClosedError, type ServedModel } from "../domain/model.ts";
import { firstNonFinite } from "../domain/tensors.ts";

/**
 * Requests of one model → one verdict each. What is on the stream is validated again: ingest has done it, but whoever
 * may publish there need not have.
 *
 * A request is run by the model that is loaded, also when it was stamped with another version of it: with one version
 * at a time, the alternative to a deployment would be to lose what waits. The outcome names the model that ran.
 */
export const onRequested =
  (served: ServedModel) =>
  async (requests: readonly RequestDelivery[]): Promise<readonly RequestVerdict[]> => {
    const { manifest, run } = served;
    const decoded = requests.map(({ body }) => decodeRequest(body, manifest.inputs));
    const items: (readonly Tensor[])[] = decoded.flatMap((result) => (result.ok ? [result.value.inputs] : []));
    let results: ItemResult[];
    try {
      results = await runIsolated(items, { rowsMax: manifest.batch.rows_max, run });
    } catch (cause) {
      if (!(cause instanceof RunnerClosedError)) throw cause;
      return requests.map(() => ({ kind: "retry", why: "the service is stopping" }));
    }
    const next = results[Symbol.iterator]();
    return decoded.map(
      (request): RequestVerdict =>
        request.ok
          ? verdictOf(next.next().value!, served, request.value)
          : { kind: "reject", problem: request.problem },
    );
  };

function verdictOf(
  result: ItemResult,
  served: ServedModel,
  { binaryOutput, parameters }: DecodedRequest,
): RequestVerdict {
  if (!result.ok) return reject(CODE_OF[result.why], `row ${result.row}: ${result.detail}`);
  const invalid = firstNonFinite(result.outputs);
  if (invalid) return reject("model-invalid-output", `row ${invalid.row}: "${invalid.name}" is ${invalid.value}`);
  const { manifest, digest, backend } = served;
  return {
    kind: "done",
    binaryOutput,
    ...(parameters === undefined ? {} : { parameters }),
    outcome: {
      // In canonical order, which is then not made for each.
      model: { digest, name: manifest.name, version: manifest.version },
      outputs: result.outputs,
      runtime: { backend: backend.name, version: backend.version },
      timing: {
        batch_rows: result.batch_rows,
        compute_ms: Math.round(result.compute_ms * 1000) / 1000,
        started_at: result.started_at.toISOString(),
      },
    },
  };
}

const reject = (code: ErrorCode, detail: string): RequestVerdict => ({
  kind: "reject",
  problem: problem(code, detail).problem,
});

const CODE_OF = {
  failed: "model-failed",
  crashed: "model-crashed",
  timeout: "model-timeout",
} as const satisfies Record<RunFailure, ErrorCode>;
