import Type from "typebox";
import { TOKEN_PATTERN } from "./subjects.ts";
import { DATATYPES } from "./tensor.ts";

/** One input or output of a model. The first dimension is the batch and is always -1. */
export const TensorSignature = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 256 }),
    datatype: Type.Enum(DATATYPES),
    shape: Type.Array(Type.Integer({ minimum: -1 }), { minItems: 1, maxItems: 8, description: "First dimension -1" }),
    features: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 128 }), {
        description: "Names along the last axis, in order: the columns of a CSV file and the keys of an NDJSON reading",
      }),
    ),
    description: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);
export type TensorSignature = Type.Static<typeof TensorSignature>;

/**
 * `manifest.json` of a model folder. The folder holds the artifact beside it: `model.json` and its weight shards for
 * `layers`, `saved_model.pb` and `variables/` for `saved-model`.
 */
export const Manifest = Type.Object(
  {
    name: Type.String({ pattern: TOKEN_PATTERN }),
    version: Type.String({ pattern: "^[A-Za-z0-9._-]{1,64}$" }),
    runner: Type.Literal("tensorflow"),
    format: Type.Union([Type.Literal("layers"), Type.Literal("saved-model")]),
    description: Type.String({ maxLength: 2000 }),
    inputs: Type.Array(TensorSignature, { minItems: 1, maxItems: 32 }),
    outputs: Type.Array(TensorSignature, { minItems: 1, maxItems: 32 }),
    batch: Type.Object(
      { rows_max: Type.Integer({ minimum: 1, maximum: 65_536, description: "Rows of one run of the model" }) },
      { additionalProperties: false },
    ),
    queue: Type.Optional(
      Type.Object(
        {
          wait_max_s: Type.Integer({
            minimum: 1,
            maximum: 604_800,
            description: "Longest wait in the queue; when a new request would wait longer, ingest refuses it",
          }),
        },
        { additionalProperties: false },
      ),
    ),
    timeout_ms: Type.Integer({ minimum: 1, maximum: 600_000, description: "Bound on one run of the model" }),
  },
  { additionalProperties: false, title: "Model manifest" },
);
export type Manifest = Type.Static<typeof Manifest>;

/** What the `models` bucket says of a deployed model: enough to validate requests and to trace results. */
export const ModelDeployment = Type.Object(
  {
    manifest: Manifest,
    digest: Type.String({ pattern: "^sha256:[0-9a-f]{64}$", description: "Over the artifact's files" }),
  },
  { additionalProperties: false },
);
export type ModelDeployment = Type.Static<typeof ModelDeployment>;

/** Rows one request may carry, whatever the model: what the bulk route packs to. */
export const REQUEST_ROWS_MAX = 512;
