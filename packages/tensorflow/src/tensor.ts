/** Between the tensors that travel (typed arrays, Open Inference Protocol datatypes) and TensorFlow.js tensors. */
import { ARRAY_OF, type Datatype, type Tensor } from "@millrace/contracts";
import type { Tensor as TfTensor } from "@tensorflow/tfjs";
import type { TensorFlow } from "./load.ts";

/** The dtype that computes a datatype, or undefined where TensorFlow.js has none: it knows no 64-bit floats. */
export const dtypeOf = (datatype: Datatype): "float32" | "int32" | "bool" | undefined => DTYPES[datatype];

const DTYPES = { FP32: "float32", INT32: "int32", UINT8: "int32", BOOL: "bool", FP64: undefined } as const;

/** The caller's to dispose. FP32 and INT32 are not copied before the backend takes them. */
export function toTf(tf: TensorFlow, { data, shape, datatype }: Tensor): TfTensor {
  const values = datatype === "UINT8" ? Int32Array.from(data) : (data as Float32Array | Int32Array | Uint8Array);
  return tf.tensor(values, [...shape], dtypeOf(datatype));
}

/** Reads a result back, as one dense array. */
export function fromTf(tensor: TfTensor, { name, datatype }: { name: string; datatype: Datatype }): Tensor {
  const values = tensor.dataSync();
  if (values instanceof ARRAY_OF[datatype]) return { name, datatype, shape: tensor.shape, data: values };
  const data = new ARRAY_OF[datatype](values.length);
  data.set(values);
  return { name, datatype, shape: tensor.shape, data };
}
