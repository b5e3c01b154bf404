import Type from "typebox";

/**
 * Tensors of the Open Inference Protocol v2, the form in which values travel between processes.
 * https://github.com/open-inference/open-inference-protocol
 */

export const DATATYPES = ["BOOL", "UINT8", "INT32", "FP32", "FP64"] as const;
/** The subset of OIP datatypes that the runners can compute with. */
export type Datatype = (typeof DATATYPES)[number];

/** Typed array that holds each datatype. BOOL is one byte per element, 0 or 1, as in the OIP binary extension. */
export type TensorData = Uint8Array | Int32Array | Float32Array | Float64Array;

/** A dense tensor, row-major. `data.length` equals the product of `shape`; `shape[0]` is the number of rows. */
export type Tensor = { name: string; datatype: Datatype; shape: readonly number[]; data: TensorData };

type ArrayType = { new (length: number): TensorData; new (buffer: ArrayBuffer): TensorData; BYTES_PER_ELEMENT: number };

export const ARRAY_OF: Readonly<Record<Datatype, ArrayType>> = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  INT32: Int32Array,
  FP32: Float32Array,
  FP64: Float64Array,
};

/** Number of elements of a shape without negative dimensions. */
export const elementCount = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Rows (size of the first dimension) of the first tensor; 0 when there is none. */
export const rowCount = (tensors: readonly Tensor[]): number => tensors[0]?.shape[0] ?? 0;

/** A tensor in an OIP JSON body: `data` is flat or nested, or absent when it follows the JSON as bytes. */
export const WireTensor = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 256 }),
    shape: Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1, maxItems: 8 }),
    datatype: Type.String({ description: `One of ${DATATYPES.join(", ")}` }),
    parameters: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    data: Type.Optional(Type.Array(Type.Unknown(), { description: "Flat or nested, row-major" })),
  },
  { title: "Tensor", description: "Open Inference Protocol v2 tensor" },
);
export type WireTensor = Type.Static<typeof WireTensor>;
