/** Rows of tensors: taking some, and putting many together for one run of a model. */
import { ARRAY_OF, elementCount, rowCount, type Tensor } from "@millrace/contracts";

/** Rows `from` to `from + rows` of a tensor. Shares the memory of the original. */
export function sliceRows(tensor: Tensor, from: number, rows: number): Tensor {
  if (from === 0 && rows === tensor.shape[0]) return tensor;
  const width = elementCount(tensor.shape.slice(1));
  return {
    ...tensor,
    shape: [rows, ...tensor.shape.slice(1)],
    data: tensor.data.subarray(from * width, (from + rows) * width),
  };
}

/**
 * One set of tensors with the rows of all, in order. Every part has the same names, datatypes and trailing dimensions,
 * in the same order; a single part is given back as it is.
 */
export function concatRows(parts: readonly (readonly Tensor[])[]): readonly Tensor[] {
  const [first] = parts;
  if (!first) throw new TypeError("there is nothing to put together");
  if (parts.length === 1) return first;
  const rows = parts.reduce((sum, part) => sum + rowCount(part), 0);
  return first.map(({ name, datatype, shape }, index) => {
    const trailing = shape.slice(1);
    const data = new ARRAY_OF[datatype](rows * elementCount(trailing));
    let at = 0;
    for (const part of parts) {
      const { data: values } = part[index]!;
      data.set(values, at);
      at += values.length;
    }
    return { name, datatype, shape: [rows, ...trailing], data };
  });
}

/** The trailing dimensions of all tensors: requests that differ in it cannot share a run. */
export const shapeKey = (tensors: readonly Tensor[]): string =>
  tensors.map(({ shape }) => shape.slice(1).join(",")).join(";");

/** The first value that is not a finite number, with its tensor and row; undefined when all are. */
export function firstNonFinite(tensors: readonly Tensor[]): { name: string; row: number; value: number } | undefined {
  for (const { name, data, shape } of tensors) {
    if (!(data instanceof Float32Array || data instanceof Float64Array)) continue;
    for (let i = 0; i < data.length; i++) {
      const value = data[i]!;
      // A difference with itself is 0 for finite numbers only; cheaper in this loop than a call per value.
      if (value - value !== 0) return { name, row: Math.floor(i / elementCount(shape.slice(1))), value };
    }
  }
  return undefined;
}
