import { describe, expect, it } from "vitest";
import { canonicalBytes, digestOf } from "./canonical.ts";
import type { TensorSignature } from "./manifest.ts";
import { type DecodedRequest, decodeRequest, type EncodedBody, encodeRequest, parametersIn } from "./oip.ts";
import { ARRAY_OF, DATATYPES, type Datatype, elementCount, type Tensor } from "./tensor.ts";
import { seeded } from "./testing.ts";

const body = (value: unknown): EncodedBody => ({ bytes: Buffer.from(JSON.stringify(value)) });
const SIGNATURE: TensorSignature[] = [{ name: "x", datatype: "FP32", shape: [-1, 3] }];
const x = (more: object = {}) => ({ name: "x", datatype: "FP32", shape: [1, 3], data: [1, 2, 3], ...more });
const codeOf = (of: EncodedBody, signature = SIGNATURE) => {
  const decoded = decodeRequest(of, signature);
  return decoded.ok ? "ok" : [decoded.problem.code, decoded.problem.at];
};

/** Some tensors of every datatype and rank, with the values at the ends of their ranges among them. */
function randomRequest(random: () => number): { request: DecodedRequest; signature: TensorSignature[] } {
  const int = (max: number) => Math.floor(random() * max);
  const rows = 1 + int(5);
  const signature: TensorSignature[] = [];
  const inputs: Tensor[] = Array.from({ length: 1 + int(3) }, (_, index) => {
    const datatype = DATATYPES[int(DATATYPES.length)]!;
    const inner = Array.from({ length: int(3) }, () => 1 + int(4));
    signature.push({ name: `t${index}`, datatype, shape: [-1, ...inner] });
    const shape = [rows, ...inner];
    const data = new ARRAY_OF[datatype](elementCount(shape));
    for (let i = 0; i < data.length; i++) data[i] = someValue(datatype, random);
    return { name: `t${index}`, datatype, shape, data };
  });
  const clientId = random() < 0.5 ? {} : { clientId: `c${int(100)}` };
  return { request: { inputs, binaryOutput: random() < 0.5, ...clientId }, signature };
}

function someValue(datatype: Datatype, random: () => number): number {
  const ends = {
    BOOL: [0, 1],
    UINT8: [0, 255],
    INT32: [-2147483648, 2147483647, 0],
    FP32: [-3.4028234663852886e38, 1.401298464324817e-45, 0.1, -0],
    FP64: [Number.MAX_VALUE, Number.MIN_VALUE, 0.1, 2 ** 53 + 2],
  }[datatype];
  if (random() < 0.4) return ends[Math.floor(random() * ends.length)]!;
  if (datatype === "FP32" || datatype === "FP64") return (random() - 0.5) * 10 ** Math.floor(random() * 30);
  return Math.floor(random() * 2);
}

describe("the codec", () => {
  it("gives back what it was given, in both forms (seed 1)", () => {
    const random = seeded(1);
    for (let round = 0; round < 300; round++) {
      const { request, signature } = randomRequest(random);
      for (const form of ["json", "binary"] as const) {
        const decoded = decodeRequest(encodeRequest(request, form), signature);
        if (!decoded.ok) throw new Error(`round ${round}: ${decoded.problem.detail}`);
        const { inputs, ...rest } = decoded.value;
        const { inputs: given, ...wanted } = request;
        expect(rest).toEqual(wanted);
        for (const [index, tensor] of inputs.entries()) {
          expect([tensor.name, tensor.datatype, tensor.shape]).toEqual([
            given[index]!.name,
            given[index]!.datatype,
            given[index]!.shape,
          ]);
          // JSON has no negative zero; that is the one value that is not the same afterwards.
          const same = (value: number) => (form === "json" && Object.is(value, -0) ? 0 : value);
          expect([...tensor.data]).toEqual([...given[index]!.data].map(same));
        }
      }
    }
  });

  it("has one form for equal content, whatever the client's order, white space and nesting", () => {
    const texts = [
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[2,3],"data":[1,2,3,4,5,6]}],"id":"a"}',
      ' { "id" : "a",\n"inputs": [ {"data":[[1.0,2e0,3],[4,5,6]],"shape":[2,3],"name":"x","datatype":"FP32"}]}',
    ];
    const digests = texts.map((text) => {
      const decoded = decodeRequest({ bytes: Buffer.from(text) }, SIGNATURE);
      if (!decoded.ok) throw new Error(decoded.problem.detail);
      return digestOf(encodeRequest(decoded.value, "json").bytes);
    });
    expect(digests[0]).toBe(digests[1]);
  });

  it("puts inputs in the signature's order", () => {
    const signature = [...SIGNATURE, { name: "n", datatype: "INT32" as const, shape: [-1] }];
    const decoded = decodeRequest(
      body({ inputs: [x({ name: "n", datatype: "INT32", shape: [1], data: [7] }), x()] }),
      signature,
    );
    expect(decoded.ok && decoded.value.inputs.map(({ name }) => name)).toEqual(["x", "n"]);
  });

  it("keeps the request's parameters, within bounds, through storing", () => {
    const of = (parameters: object) => decodeRequest(body({ inputs: [x()], parameters }), SIGNATURE);
    const sensor = { sensor: "s-7", shift: 2, urgent: false };
    const decoded = of({ ...sensor, binary_data_output: true, nested: { a: 1 }, list: [1], none: null });
    expect(decoded.ok && decoded.value.parameters).toEqual(sensor);
    const stored = decoded.ok ? decodeRequest(encodeRequest(decoded.value, "binary"), SIGNATURE) : undefined;
    expect(stored?.ok && [stored.value.parameters, stored.value.binaryOutput]).toEqual([sensor, true]);
    expect(parametersIn(body({ anything: 1, parameters: sensor }))).toEqual(sensor);
    expect(parametersIn({ bytes: Buffer.from("no JSON") })).toBeUndefined();
    const many = Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`p${n}`, n]));
    for (const wrong of [many, { a: "x".repeat(257) }, { ["x".repeat(257)]: 1 }, { a: "\ud800" }]) {
      expect(of(wrong)).toMatchObject({ ok: false, problem: { code: "malformed-body", at: "/parameters" } });
      expect(parametersIn(body({ parameters: wrong }))).toBeUndefined();
    }
  });

  it("tells which outputs are asked for, and in which form", () => {
    const asked = (request: object) => {
      const decoded = decodeRequest(body({ inputs: [x()], ...request }), SIGNATURE);
      return decoded.ok && { binaryOutput: decoded.value.binaryOutput, outputs: decoded.value.outputs };
    };
    const binary = { parameters: { binary_data: true } };
    expect(asked({})).toEqual({ binaryOutput: false, outputs: undefined });
    expect(asked({ parameters: { binary_data_output: true } })).toEqual({ binaryOutput: true, outputs: undefined });
    expect(asked({ outputs: [{ name: "y", ...binary }] })).toEqual({
      binaryOutput: true,
      outputs: [{ name: "y", binary: true }],
    });
    expect(asked({ outputs: [{ name: "y", ...binary }, { name: "z" }] })).toEqual({
      binaryOutput: false,
      outputs: [
        { name: "y", binary: true },
        { name: "z", binary: false },
      ],
    });
  });

  it.each<[string, unknown, unknown]>([
    ["an array", [], ["malformed-body", "/"]],
    ["an input without data", { inputs: [x({ data: undefined })] }, ["malformed-body", "/inputs/0"]],
    ["a fractional size", { inputs: [x({ shape: [1.5, 2] })] }, ["malformed-body", "/inputs/0/shape/0"]],
    ["a negative size", { inputs: [x({ shape: [-1, 3] })] }, ["malformed-body", "/inputs/0/shape/0"]],
    ["an unknown input", { inputs: [x({ name: "y" })] }, ["unknown-input", "/inputs/0/name"]],
    ["an input given twice", { inputs: [x(), x()] }, ["malformed-body", "/inputs/1/name"]],
    ["another datatype", { inputs: [x({ datatype: "FP64" })] }, ["wrong-datatype", "/inputs/0/datatype"]],
    ["no datatype of ours", { inputs: [x({ datatype: "BYTES" })] }, ["wrong-datatype", "/inputs/0/datatype"]],
    ["too few values", { inputs: [x({ data: [1] })] }, ["wrong-shape", "/inputs/0/data"]],
    ["too many values", { inputs: [x({ data: [1, 2, 3, 4] })] }, ["wrong-shape", "/inputs/0/data"]],
    ["a huge shape", { inputs: [x({ shape: [1e9, 1e9] })] }, ["wrong-shape", "/inputs/0/shape"]],
    ["another rank", { inputs: [x({ shape: [3] })] }, ["wrong-shape", "/inputs/0/shape"]],
    ["no rows", { inputs: [x({ shape: [0, 3], data: [] })] }, ["wrong-shape", "/inputs/0/shape"]],
    ["a string", { inputs: [x({ data: [1, "2", 3] })] }, ["wrong-value", "/inputs/0/data/1"]],
    ["null, deep inside", { inputs: [x({ data: [[1, 2, null]] })] }, ["wrong-value", "/inputs/0/data/0/2"]],
    ["more than FP32", { inputs: [x({ data: [1, 2, 3.5e38] })] }, ["wrong-value", "/inputs/0/data/2"]],
    ["data without a bottom", { inputs: [x({ data: [[[[[[[[[[[1]]]]]]]]]]] })] }, ["wrong-shape", expect.any(String)]],
  ])("refuses %s", (_what, request, expected) => expect(codeOf(body(request))).toEqual(expected));

  it("refuses whole numbers out of range or with a fraction", () => {
    for (const [datatype, values] of Object.entries({
      BOOL: [2, -1, 0.5],
      UINT8: [256, -1, 1.5],
      INT32: [2147483648, -2147483649, 0.1],
    })) {
      const signature = [{ name: "x", datatype: datatype as Datatype, shape: [-1] }];
      for (const value of values)
        expect(codeOf(body({ inputs: [x({ datatype, shape: [1], data: [value] })] }), signature)).toEqual([
          "wrong-value",
          "/inputs/0/data/0",
        ]);
    }
  });

  it("refuses binary bodies that are cut, too long, or declare another size", () => {
    const good = encodeRequest(
      { inputs: [{ ...x(), datatype: "FP32", data: new Float32Array([1, 2, 3]) }], binaryOutput: false },
      "binary",
    );
    expect(codeOf(good)).toBe("ok");
    const { bytes, headerLength } = good;
    const length = headerLength!;
    expect(codeOf({ bytes: bytes.subarray(0, -1), headerLength: length })).toEqual(["malformed-body", "/inputs/0"]);
    expect(codeOf({ bytes: Buffer.concat([bytes, Buffer.alloc(1)]), headerLength: length })).toEqual([
      "malformed-body",
      undefined,
    ]);
    expect(codeOf({ bytes, headerLength: bytes.length + 1 })).toEqual(["malformed-body", undefined]);
    for (const size of [11, -12, 1e9, "12", null]) {
      const json = Buffer.from(
        JSON.stringify({ inputs: [x({ data: undefined, parameters: { binary_data_size: size } })] }),
      );
      const answer = codeOf({ bytes: Buffer.concat([json, Buffer.alloc(12)]), headerLength: json.length });
      expect([size, answer]).toEqual([size, ["wrong-shape", "/inputs/0"]]);
    }
  });

  it("never throws, whatever the bytes are (seed 2)", () => {
    const random = seeded(2);
    const { request, signature } = randomRequest(random);
    for (let round = 0; round < 2_000; round++) {
      const { bytes, headerLength } = encodeRequest(request, random() < 0.5 ? "json" : "binary");
      const broken = Buffer.from(bytes);
      for (let flips = 1 + Math.floor(random() * 4); flips > 0; flips--)
        broken[Math.floor(random() * broken.length)] = Math.floor(random() * 256);
      const cut = broken.subarray(0, random() < 0.3 ? Math.floor(random() * broken.length) : broken.length);
      const decoded = decodeRequest(
        headerLength === undefined ? { bytes: cut } : { bytes: cut, headerLength },
        signature,
      );
      if (decoded.ok) for (const { data } of decoded.value.inputs) expect([...data].every(Number.isFinite)).toBe(true);
    }
  });
});

describe("canonical bytes", () => {
  it("are RFC 8785's", () => {
    // The RFC's own example, section 3.2.2 and 3.2.3.
    const value = JSON.parse(
      '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}',
    );
    expect(Buffer.from(canonicalBytes(value)).toString()).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });
  it("do not exist for what JSON cannot carry", () => {
    for (const value of [undefined, Number.NaN, { a: Number.POSITIVE_INFINITY }])
      expect(() => canonicalBytes(value)).toThrow();
  });
});
