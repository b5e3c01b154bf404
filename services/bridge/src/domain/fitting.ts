import { createHash } from "node:crypto";

/** Longest message id, session id and partition key of Service Bus. */
const NAME_MAX = 128;

/** A name that Service Bus takes: the same one, or the SHA-256 of one that is too long, so that different ones stay different. */
export const fitting = (name: string): string =>
  name.length <= NAME_MAX ? name : createHash("sha256").update(name).digest("hex");
