import {
  ARRAY_OF,
  type Datatype,
  type EncodedBody,
  elementCount,
  encodeRequest,
  LIMITS,
  misfit,
  type Problem,
  problem,
  REQUEST_ROWS_MAX,
  type Result,
  type Tensor,
  type TensorData,
  type TensorSignature,
} from "@millrace/contracts";

/**
 * Rows on their way into one request: values are written straight into the arrays that become its tensors, so that a
 * reading is never an object between the parser and the wire.
 */
export type RowWriter = {
  /** Rows written and not taken. */
  readonly rows: number;
  readonly full: boolean;
  /** Writes one parsed NDJSON line. A line that does not fit leaves nothing behind. */
  writeJson(value: unknown): Problem | undefined;
  /** Where each column of a CSV file goes, or what is wrong with its header. */
  columns(names: readonly string[]): Result<readonly Column[]>;
  /** Writes one CSV record. */
  writeCells(columns: readonly Column[], cells: readonly string[]): Problem | undefined;
  /** The rows as a request body; the writer is empty then. */
  take(): EncodedBody;
};

/** A CSV column: which input it belongs to, and which element of that input's row it is. */
export type Column = { input: Input; element: number; name: string };

type Input = {
  name: string;
  datatype: Datatype;
  /** Shape of one row; empty for a single element. */
  shape: readonly number[];
  /** Elements of one row. */
  size: number;
  features: readonly string[] | undefined;
  data: TensorData;
};

/**
 * A writer for a model's inputs. `packed` gathers up to 512 rows or 256 KiB and encodes them as binary tensors;
 * otherwise each row is a request of its own with a JSON body.
 */
export function rowWriter(signature: readonly TensorSignature[], packed: boolean): Result<RowWriter> {
  const bytes = bytesPerRow(signature);
  if (bytes === undefined)
    return problem("wrong-shape", "rows of this model have no fixed shape; submit them one request at a time");
  if (bytes > LIMITS.stored_bytes)
    return problem("body-too-large", `a row of this model is ${bytes} bytes, more than ${LIMITS.stored_bytes}`);
  const capacity = packed ? Math.max(1, Math.min(REQUEST_ROWS_MAX, Math.floor(LIMITS.bulk.pack_bytes / bytes))) : 1;
  const inputs = signature.map((input) => toInput(input, capacity));
  const featureCount = new Set(inputs.flatMap(({ features }) => features ?? [])).size;
  let rows = 0;

  const writeObject = (value: Record<string, unknown>): Problem | undefined => {
    let plain = true;
    for (const input of inputs) {
      const whole = Object.hasOwn(value, input.name);
      plain &&= !whole;
      const wrong = whole
        ? writeValues(input, rows, 0, 1, value[input.name], `/${pointer(input.name)}`)
        : input.features
          ? writeFeatures(input, rows, value)
          : missing(input.name);
      if (wrong) return wrong;
    }
    // Every key that is needed is there, so in the plain form the right number of keys means no other.
    return plain && keyCount(value) === featureCount ? undefined : strangerIn(value);
  };
  const strangerIn = (value: object): Problem | undefined => {
    const isKnown = (key: string) =>
      inputs.some(({ name, features }) => name === key || (!Object.hasOwn(value, name) && features?.includes(key)));
    const stranger = Object.keys(value).find((key) => !isKnown(key));
    if (stranger === undefined) return undefined;
    const name = stranger.slice(0, 64);
    return { code: "unknown-input", detail: `"${name}" is neither an input nor a feature`, at: `/${pointer(name)}` };
  };

  return {
    ok: true,
    value: {
      get rows() {
        return rows;
      },
      get full() {
        return rows === capacity;
      },
      writeJson(value) {
        let wrong: Problem | undefined;
        if (typeof value === "object" && value !== null && !Array.isArray(value))
          wrong = writeObject(value as Record<string, unknown>);
        else if (inputs.length > 1)
          wrong = { code: "malformed-body", detail: `the model has ${inputs.length} inputs: a line must be an object` };
        else wrong = writeValues(inputs[0]!, rows, 0, 1, value, "");
        if (!wrong) rows++;
        return wrong;
      },
      columns: (names) => columnsOf(inputs, names),
      writeCells(columns, cells) {
        if (cells.length !== columns.length)
          return { code: "wrong-shape", detail: `the line has ${cells.length} fields, the header ${columns.length}` };
        for (let i = 0; i < columns.length; i++) {
          const { input, element, name } = columns[i]!;
          const text = cells[i]!;
          const number = numberOf(text, input.datatype);
          const wrong = number === undefined ? notANumber(text) : misfit(number, input.datatype);
          if (wrong) return { code: "wrong-value", detail: `a value ${wrong}`, at: `/${pointer(name)}` };
          input.data[rows * input.size + element] = number!;
        }
        rows++;
        return undefined;
      },
      take() {
        const tensors: Tensor[] = inputs.map(({ name, datatype, shape, size, data }) => ({
          name,
          datatype,
          shape: [rows, ...shape],
          data: data.subarray(0, rows * size),
        }));
        rows = 0;
        // Outputs stay JSON: who reads them, on a topic or in the ledger, did not choose the packing.
        return encodeRequest({ inputs: tensors, binaryOutput: false }, packed ? "binary" : "json");
      },
    },
  };
}

function bytesPerRow(signature: readonly TensorSignature[]): number | undefined {
  let bytes = 0;
  for (const { shape, datatype } of signature) {
    const row = shape.slice(1);
    if (row.some((size) => size < 1)) return undefined;
    bytes += elementCount(row) * ARRAY_OF[datatype].BYTES_PER_ELEMENT;
  }
  return bytes;
}

function toInput({ name, datatype, shape, features }: TensorSignature, capacity: number): Input {
  const row = shape.slice(1);
  const size = elementCount(row);
  // Features name the last axis; a list that does not fit it names nothing.
  const named = features !== undefined && row.length > 0 && features.length === row.at(-1) ? features : undefined;
  return { name, datatype, shape: row, size, features: named, data: new ARRAY_OF[datatype](capacity * size) };
}

function writeFeatures(input: Input, row: number, value: Record<string, unknown>): Problem | undefined {
  const features = input.features!;
  const width = features.length;
  if (input.size !== width) return writeSeries(input, row, value);
  const base = row * width;
  for (let i = 0; i < width; i++) {
    const given = value[features[i]!];
    const number = typeof given === "number" ? given : booleanOf(given, input.datatype);
    if (number === undefined)
      return given === undefined
        ? missing(features[i]!)
        : { code: "wrong-value", detail: `a value is ${kindOf(given)}, not a number`, at: `/${pointer(features[i]!)}` };
    const wrong = misfit(number, input.datatype);
    if (wrong) return { code: "wrong-value", detail: `a value ${wrong}`, at: `/${pointer(features[i]!)}` };
    input.data[base + i] = number;
  }
  return undefined;
}

/** Features of an input of higher rank: each key holds one feature over the axes between the first and the last. */
function writeSeries(input: Input, row: number, value: Record<string, unknown>): Problem | undefined {
  const features = input.features!;
  for (const [index, feature] of features.entries()) {
    if (!Object.hasOwn(value, feature)) return missing(feature);
    const wrong = writeValues(input, row, index, features.length, value[feature], `/${pointer(feature)}`);
    if (wrong) return wrong;
  }
  return undefined;
}

/** Writes flat or nested values to every `stride`-th element of a row, from `first`. There must be exactly enough. */
function writeValues(
  input: Input,
  row: number,
  first: number,
  stride: number,
  value: unknown,
  at: string,
): Problem | undefined {
  const count = input.size / stride;
  if (!Array.isArray(value) && count !== 1)
    return { code: "wrong-shape", detail: `${count} values are needed, not ${kindOf(value)}`, at };
  const base = row * input.size + first;
  let written = 0;
  const write = (given: unknown, depth: number): Problem | undefined => {
    if (Array.isArray(given)) {
      if (depth > input.shape.length) return { code: "wrong-shape", detail: "the values are nested too deeply", at };
      for (const inner of given) {
        const wrong = write(inner, depth + 1);
        if (wrong) return wrong;
      }
      return undefined;
    }
    const number = typeof given === "number" ? given : booleanOf(given, input.datatype);
    if (number === undefined) return { code: "wrong-value", detail: `a value is ${kindOf(given)}, not a number`, at };
    const wrong = misfit(number, input.datatype);
    if (wrong) return { code: "wrong-value", detail: `a value ${wrong}`, at };
    if (written < count) input.data[base + written * stride] = number;
    written++;
    return undefined;
  };
  const wrong = write(value, 0);
  if (wrong) return wrong;
  return written === count
    ? undefined
    : { code: "wrong-shape", detail: `${count} values are needed, ${written} are given`, at };
}

function columnsOf(inputs: readonly Input[], names: readonly string[]): Result<readonly Column[]> {
  const wanted = new Map<string, Column>();
  for (const input of inputs) {
    const { features, size, name } = input;
    if (features && size === features.length)
      for (const [element, feature] of features.entries()) wanted.set(feature, { input, element, name: feature });
    else if (size === 1) wanted.set(name, { input, element: 0, name });
    else return problem("wrong-shape", `rows of "${name}" have no column names; send NDJSON instead`, "line 1");
  }
  const columns: Column[] = [];
  const found = new Set<string>();
  for (const name of names.map((text) => text.trim())) {
    const column = wanted.get(name);
    if (!column) return problem("unknown-input", `column "${name.slice(0, 64)}" is not a feature`, "line 1");
    if (found.has(name)) return problem("malformed-body", `column "${name}" stands twice`, "line 1");
    found.add(name);
    columns.push(column);
  }
  const absent = [...wanted.keys()].filter((name) => !found.has(name));
  if (absent.length > 0) return problem("missing-input", `no column for ${absent.slice(0, 10).join(", ")}`, "line 1");
  return { ok: true, value: columns };
}

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** A cell as a number; undefined for what JSON would not call one either, such as nothing, `0x10` or `NaN`. */
function numberOf(cell: string, datatype: Datatype): number | undefined {
  const text = cell.trim();
  if (DECIMAL.test(text)) return Number(text);
  if (datatype !== "BOOL") return undefined;
  const word = text.toLowerCase();
  return word === "true" ? 1 : word === "false" ? 0 : undefined;
}

const booleanOf = (value: unknown, datatype: Datatype) =>
  typeof value === "boolean" && datatype === "BOOL" ? Number(value) : undefined;

const notANumber = (text: string) => `is ${text.trim() === "" ? "missing" : `"${text.slice(0, 32)}"`}, not a number`;
const missing = (name: string): Problem => ({ code: "missing-input", detail: `"${name}" is missing` });
const kindOf = (value: unknown) =>
  value === null
    ? "null"
    : Array.isArray(value)
      ? "an array"
      : typeof value === "object"
        ? "an object"
        : `a ${typeof value}`;
/** One step of a JSON pointer (RFC 6901 §3). */
const pointer = (name: string) => name.replaceAll("~", "~0").replaceAll("/", "~1");

function keyCount(value: object): number {
  let count = 0;
  for (const _ in value) count++;
  return count;
}
