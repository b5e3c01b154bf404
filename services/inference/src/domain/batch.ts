/**
 * Which rows of which requests run together. A request that is larger than a run is spread over several; small ones
 * share one.
 */
import { rowCount, type Tensor } from "@millrace/contracts";
import { concatRows, shapeKey, sliceRows } from "./tensors.ts";

/** Some rows of one request; `item` is the request's place in the list it came in. */
export interface Slice {
  readonly item: number;
  /** First row inside the request. */
  readonly from: number;
  readonly rows: number;
}

/** What goes through the model at once. */
export type Batch = readonly Slice[];

/** Fills batches of at most `rowsMax` rows in the order of the requests; each batch holds one shape only. */
export function planBatches(items: readonly (readonly Tensor[])[], rowsMax: number): Batch[] {
  const batches: Batch[] = [];
  const open = new Map<string, { slices: Slice[]; rows: number }>();
  for (const [item, inputs] of items.entries()) {
    const key = shapeKey(inputs);
    const rows = rowCount(inputs);
    for (let from = 0; from < rows; ) {
      let current = open.get(key);
      if (!current || current.rows === rowsMax) {
        current = { slices: [], rows: 0 };
        open.set(key, current);
        batches.push(current.slices);
      }
      const taken = Math.min(rows - from, rowsMax - current.rows);
      current.slices.push({ item, from, rows: taken });
      current.rows += taken;
      from += taken;
    }
  }
  return batches;
}

/** The two halves of a batch that failed: by request while it holds several, then by row; undefined for a lone row. */
export function halve(batch: Batch): readonly [Batch, Batch] | undefined {
  if (batch.length > 1) {
    const middle = batch.length >> 1;
    return [batch.slice(0, middle), batch.slice(middle)];
  }
  const [slice] = batch;
  if (!slice || slice.rows === 1) return undefined;
  const first = slice.rows >> 1;
  return [[{ ...slice, rows: first }], [{ ...slice, from: slice.from + first, rows: slice.rows - first }]];
}

/** The input tensors of a batch. */
export const gather = (items: readonly (readonly Tensor[])[], batch: Batch): readonly Tensor[] =>
  concatRows(batch.map(({ item, from, rows }) => items[item]!.map((tensor) => sliceRows(tensor, from, rows))));

/** The output tensors of each slice of a batch, in order. */
export function scatter(outputs: readonly Tensor[], batch: Batch): Tensor[][] {
  let at = 0;
  return batch.map(({ rows }) => {
    const from = at;
    at += rows;
    return outputs.map((tensor) => sliceRows(tensor, from, rows));
  });
}
