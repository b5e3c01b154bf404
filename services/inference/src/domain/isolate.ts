/**
 * Runs a list of requests through a model and finds those that it cannot take. A batch that fails is split until what
 * made it fail stands alone, so one poison row costs its own request and nobody else's.
 */
import type { Tensor } from "@millrace/contracts";
import { type Batch, gather, halve, planBatches, scatter } from "./batch.ts";
import type { Run, RunFailure, RunResult } from "./model.ts";
import { concatRows } from "./tensors.ts";

export type ItemResult =
  | {
      readonly ok: true;
      readonly outputs: readonly Tensor[];
      readonly started_at: Date;
      /** Of all runs that carried rows of the request. */
      readonly compute_ms: number;
      /** Rows of the largest of them. */
      readonly batch_rows: number;
    }
  | { readonly ok: false; readonly why: RunFailure; readonly detail: string; readonly row: number };

/**
 * A lone row on which the process dies this often is the cause. Less would blame a request for a process that was
 * killed from outside while it happened to be the only one there.
 */
const DEATHS_ALONE_MAX = 3;

/** One result per request, in order. Batches run at once, as many as `run` takes. */
export async function runIsolated(
  items: readonly (readonly Tensor[])[],
  { rowsMax, run }: { rowsMax: number; run: Run },
): Promise<ItemResult[]> {
  const parts: Part[][] = items.map(() => []);
  const poison = new Map<number, Extract<ItemResult, { ok: false }>>();

  // Depth first: at most log2(rows of the batch) levels, since every level halves it.
  const settle = async (batch: Batch): Promise<void> => {
    const wanted = batch.filter(({ item }) => !poison.has(item));
    if (wanted.length === 0) return;
    const halves = halve(wanted);
    const result = await (halves ? run(gather(items, wanted)) : runAlone(run, gather(items, wanted)));
    if (result.ok) {
      const batch_rows = wanted.reduce((sum, slice) => sum + slice.rows, 0);
      for (const [index, outputs] of scatter(result.outputs, wanted).entries()) {
        const { item, from } = wanted[index]!;
        parts[item]!.push({ from, outputs, batch_rows, started_at: result.started_at, compute_ms: result.compute_ms });
      }
    } else if (halves) {
      await settle(halves[0]);
      await settle(halves[1]);
    } else {
      const { item, from } = wanted[0]!;
      poison.set(item, { ok: false, why: result.why, detail: result.detail, row: from });
    }
  };

  await Promise.all(planBatches(items, rowsMax).map(settle));
  return items.map((_, item) => poison.get(item) ?? join(parts[item]!));
}

interface Part {
  readonly from: number;
  readonly outputs: readonly Tensor[];
  readonly started_at: Date;
  readonly compute_ms: number;
  readonly batch_rows: number;
}

async function runAlone(run: Run, inputs: readonly Tensor[]): Promise<RunResult> {
  let result = await run(inputs);
  for (let deaths = 1; !result.ok && result.why === "crashed" && deaths < DEATHS_ALONE_MAX; deaths++) {
    result = await run(inputs);
  }
  return result;
}

/** The parts of one request in the order of its rows, whatever the order they came back in. */
function join(parts: Part[]): ItemResult {
  parts.sort((a, b) => a.from - b.from);
  return {
    ok: true,
    outputs: concatRows(parts.map(({ outputs }) => outputs)),
    started_at: new Date(Math.min(...parts.map(({ started_at }) => started_at.getTime()))),
    compute_ms: parts.reduce((sum, { compute_ms }) => sum + compute_ms, 0),
    batch_rows: Math.max(...parts.map(({ batch_rows }) => batch_rows)),
  };
}
