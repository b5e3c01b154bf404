import Type from "typebox";
import { RequestParameters } from "./oip.ts";
import { Digest, Token } from "./outcome.ts";
import { WireTensor } from "./tensor.ts";

/** CloudEvents type of a message that carries one row of a result. */
export const ROW_COMPLETED_TYPE = "millrace.inference.row-completed.v1";

/** One row of a result, as a route with `per: row` sends it. Canonical JSON; the whole is in the outcome that it names. */
export const RowResult = Type.Object(
  {
    id: Type.String({ description: "<request id>#<row>" }),
    row: Type.Integer({ minimum: 0 }),
    tenant: Token,
    project: Token,
    model: Type.Object({ name: Token, version: Type.String(), digest: Digest }, { additionalProperties: false }),
    outcome: Type.Object(
      { id: Type.String({ description: "<request id>.<attempt>" }), digest: Digest },
      { additionalProperties: false, description: "Where it is from: the digest is that of the ledger" },
    ),
    parameters: Type.Optional(RequestParameters),
    outputs: Type.Array(WireTensor, { description: "Of this row alone: the first size of each shape is 1" }),
  },
  { additionalProperties: false, title: "RowResult" },
);
export type RowResult = Type.Static<typeof RowResult>;

/**
 * Stands in for an outcome that is larger than its topic or queue takes: the outcome is a blob, named by the CloudEvents
 * attribute `dataref`. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/dataref.md
 */
export const ClaimCheck = Type.Object(
  {
    dataref: Type.String({ description: "URL of the blob, without any credential" }),
    digest: Digest,
    size_bytes: Type.Integer({ minimum: 0 }),
    content_type: Type.String(),
  },
  { additionalProperties: false, title: "ClaimCheck" },
);
export type ClaimCheck = Type.Static<typeof ClaimCheck>;
