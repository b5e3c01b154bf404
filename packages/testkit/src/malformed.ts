import {
  digestOf,
  type ErrorCode,
  encodeTensors,
  HEADER_LENGTH,
  InferenceRequested,
  REQUEST_HEADERS,
  requestSubject,
  type Tensor,
  toHeaders,
} from "@millrace/contracts";
import type { Run } from "@millrace/local";
import { connectAsOperator } from "./operator.ts";
import type { Random } from "./random.ts";

/** A message for the request stream, and what must become of it. */
export type HandMade = {
  /** What is wrong with it, in words. */
  kind: string;
  subject: string;
  headers: Readonly<Record<string, string>>;
  body: Uint8Array;
  expected: ErrorCode | "done";
};

type Place = { tenant: string; project: string; model: string };
type Good = HandMade & { place: Place; id: string; tensor: Tensor };
type Spoil = (good: Good, random: Random) => Partial<HandMade>;

/** A request as ingest would store it. */
function goodRequest(place: Place, id: string, tensor: Tensor, form: "json" | "binary" = "json"): Good {
  const subject = requestSubject({ kind: "tensor", priority: "normal", ...place, id });
  const body = encodeTensors({}, "inputs", [tensor], form);
  const envelope = toHeaders({
    id,
    type: InferenceRequested.type,
    source: "/millrace/ingest",
    subject,
    time: new Date().toISOString(),
    datacontenttype: form === "json" ? "application/json" : "application/octet-stream",
    correlationid: id,
  });
  const headers = {
    ...envelope,
    [REQUEST_HEADERS.digest]: digestOf(body.bytes),
    [REQUEST_HEADERS.rows]: String(tensor.shape[0]),
    ...(body.headerLength === undefined ? {} : { [HEADER_LENGTH]: String(body.headerLength) }),
  };
  return { kind: "good", subject, headers, body: body.bytes, expected: "done", place, id, tensor };
}

/** The same headers around another body, with its digest. */
const around = (good: Good, body: Uint8Array | string): Pick<HandMade, "body" | "headers"> => {
  const bytes = Buffer.from(body);
  return { body: bytes, headers: { ...good.headers, [REQUEST_HEADERS.digest]: digestOf(bytes) } };
};
const without = (headers: HandMade["headers"], name: string) =>
  Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name));
const withHeader = (good: Good, name: string, value: string) => ({ headers: { ...good.headers, [name]: value } });
const token = (good: Good, position: number, value: string) => ({
  subject: good.subject.split(".").with(position, value).join("."),
});
const json = (good: Good, change: object) =>
  around(good, JSON.stringify({ inputs: [{ ...inputOf(good.tensor), ...change }] }));
const inputOf = ({ name, datatype, shape, data }: Tensor) => ({ name, datatype, shape, data: [...data] });
const binary = ({ place, id, tensor }: Good) => goodRequest(place, id, tensor, "binary");
const pick = <T>(random: Random, values: readonly T[]): T => values[random.integer(0, values.length - 1)]!;

/** Everything that can be wrong with a message on the request stream, and the reason its dead letter must give. */
const SPOILS: readonly { kind: string; expected: ErrorCode; spoil: Spoil }[] = [
  { kind: "no headers", expected: "malformed-message", spoil: () => ({ headers: {} }) },
  {
    kind: "a CloudEvents attribute is missing",
    expected: "malformed-message",
    spoil: ({ headers }, random) => ({
      headers: without(
        headers,
        pick(random, ["ce-id", "ce-type", "ce-source", "ce-subject", "ce-time", "content-type"]),
      ),
    }),
  },
  {
    kind: "another type",
    expected: "malformed-message",
    spoil: (good) => withHeader(good, "ce-type", "millrace.inference.completed.v1"),
  },
  {
    kind: "a priority that does not exist",
    expected: "malformed-message",
    spoil: (good, random) => token(good, 2, pick(random, ["urgent", "HIGH", "0", "$"])),
  },
  {
    kind: "an id that is no token",
    expected: "malformed-message",
    spoil: (good, random) =>
      token(good, 6, pick(random, [`${good.id}$`, `${good.id}/x`, `é${good.id}`, "x".repeat(80)])),
  },
  {
    kind: "a model's name that is no token",
    expected: "malformed-message",
    spoil: (good, random) => token(good, 5, pick(random, ["m".repeat(65), "failure%risk", "модель"])),
  },
  { kind: "an unknown model", expected: "unknown-model", spoil: (good) => token(good, 5, "no-such-model") },
  {
    kind: "the digest of another body",
    expected: "digest-mismatch",
    spoil: (good) => withHeader(good, REQUEST_HEADERS.digest, digestOf(Buffer.from(good.id))),
  },
  {
    kind: "no digest",
    expected: "digest-mismatch",
    spoil: ({ headers }) => ({ headers: without(headers, REQUEST_HEADERS.digest) }),
  },
  {
    kind: "bytes that are no text",
    expected: "malformed-json",
    spoil: (good, random) =>
      random.next() < 0.1
        ? around(good, "\u{1f4a9}") // V8's reason quotes half of it
        : around(good, Buffer.from(Array.from({ length: random.integer(0, 200) }, () => random.integer(128, 255)))),
  },
  {
    kind: "JSON that ends early",
    expected: "malformed-json",
    spoil: (good, random) => around(good, good.body.subarray(0, random.integer(1, good.body.byteLength - 1))),
  },
  {
    kind: "JSON of another form",
    expected: "malformed-body",
    spoil: (good, random) => around(good, pick(random, ["[]", "null", "7", '{"inputs":{}}', '{"inputs":[]}', "{}"])),
  },
  { kind: "an unknown input", expected: "unknown-input", spoil: (good) => json(good, { name: "nobody" }) },
  {
    kind: "another datatype",
    expected: "wrong-datatype",
    spoil: (good, random) => json(good, { datatype: pick(random, ["INT64", "COMPLEX", "fp32"]) }),
  },
  {
    kind: "a shape that is not the values'",
    expected: "wrong-shape",
    spoil: (good, random) =>
      json(good, { shape: pick(random, [[1], [2, good.tensor.data.length], [2e9, 1e9], [0, 0]]) }),
  },
  {
    kind: "a value that is no number",
    expected: "wrong-value",
    spoil: (good) => json(good, { data: [...good.tensor.data].with(0, "x" as never) }),
  },
  {
    kind: "NaN as bytes",
    expected: "wrong-value",
    spoil: ({ place, id, tensor }) => {
      const data = Float32Array.from(tensor.data as Float32Array).fill(Number.NaN, 0, 1);
      const { headers, body } = goodRequest(place, id, { ...tensor, data } as Tensor, "binary");
      return { headers, body };
    },
  },
  {
    kind: "binary tensors that end early",
    expected: "malformed-body",
    spoil: (good, random) => {
      const whole = binary(good);
      return around(whole, whole.body.subarray(0, whole.body.byteLength - random.integer(1, 8)));
    },
  },
  {
    kind: "a length of the JSON part that is none",
    expected: "malformed-body",
    spoil: (good, random) => {
      const whole = binary(good);
      return { body: whole.body, ...withHeader(whole, HEADER_LENGTH, pick(random, ["999999", "-1", "x", "1e3"])) };
    },
  },
  {
    kind: "a deadline that is no time",
    expected: "malformed-message",
    spoil: (good) => withHeader(good, REQUEST_HEADERS.deadline, "soon"),
  },
  {
    kind: "a deadline that has passed",
    expected: "deadline-exceeded",
    spoil: (good) => withHeader(good, REQUEST_HEADERS.deadline, "2020-01-01T00:00:00Z"),
  },
  {
    kind: "an attempt that answers a dead letter that is not there",
    expected: "malformed-json",
    spoil: (good, random) => {
      const { headers, body } = around(good, "{");
      const [attempt, answers] = pick(random, [
        ["2", "999999"],
        ["2", "0"],
        ["-1", "x"],
        ["1e9", "1"],
      ] as const);
      return { body, headers: { ...headers, [REQUEST_HEADERS.attempt]: attempt, [REQUEST_HEADERS.answers]: answers } };
    },
  },
  {
    kind: "headers as large as the server takes, and no JSON",
    expected: "malformed-json",
    spoil: (good, random) => {
      const name = pick(random, [
        "ce-correlationid",
        "ce-principal",
        "traceparent",
        "x-unknown",
        REQUEST_HEADERS.history,
      ]);
      const { headers, body } = around(good, "{");
      const others = Object.entries(headers).filter(([other]) => other !== name);
      const size = others.reduce((sum, [other, value]) => sum + other.length + value.length + LINE_BYTES, FRAME_BYTES);
      const room = HEADERS_MAX_BYTES - size - name.length - LINE_BYTES;
      return { body, headers: { ...headers, [name]: "h".repeat(room - pick(random, [0, random.integer(0, 1_000)])) } };
    },
  },
];

/** nats-server stores no message whose headers are larger; each line has `: ` and CR LF, the whole `NATS/1.0` and an empty line. */
const HEADERS_MAX_BYTES = 65_535;
const LINE_BYTES = 4;
const FRAME_BYTES = 12;

/** The kinds of what can be wrong, in words. */
export const MALFORMED_KINDS: readonly string[] = SPOILS.map(({ kind }) => kind);

export type HandMadeOptions = Place & {
  count: number;
  random: Random;
  /** Part of them that is malformed: 0 to 1. */
  malformed: number;
  /** The only input of a good request, by its number. */
  tensor: (number: number) => Tensor;
  prefix: string;
};

/** Messages for the request stream, good and malformed ones mixed. */
export function* handMadeRequests({
  count,
  random,
  malformed,
  tensor,
  prefix,
  ...place
}: HandMadeOptions): Generator<HandMade> {
  for (let i = 0; i < count; i++) {
    const good = goodRequest(place, `${prefix}-${i}`, tensor(i));
    if (random.next() >= malformed) {
      yield good;
      continue;
    }
    const { kind, expected, spoil } = pick(random, SPOILS);
    yield { ...good, kind, expected, ...spoil(good, random) };
  }
}

const UNDER_WAY = 256;

/** Stores messages as no service would; answers each with its position in the stream. */
export async function publishHandMade<Message extends HandMade>(
  run: Pick<Run, "nats">,
  messages: Iterable<Message>,
): Promise<Map<number, Message>> {
  const { headers: newHeaders } = await import("nats");
  const connection = await connectAsOperator(run as Run);
  const stored = new Map<number, Message>();
  try {
    const js = connection.jetstream({ timeout: 30_000 });
    const source = messages[Symbol.iterator]();
    await Promise.all(
      Array.from({ length: UNDER_WAY }, async () => {
        for (let next = source.next(); !next.done; next = source.next()) {
          const { subject, headers, body } = next.value;
          const set = newHeaders();
          for (const [name, value] of Object.entries(headers)) set.set(name, value);
          const { seq } = await js.publish(subject, body, Object.keys(headers).length > 0 ? { headers: set } : {});
          stored.set(seq, next.value);
        }
      }),
    );
    return stored;
  } finally {
    await connection.close();
  }
}
