import { createHash } from "node:crypto";
import canonicalize from "canonicalize";

/**
 * Canonical JSON (RFC 8785, JCS) as UTF-8 bytes: the form that is hashed, stored, and later signed.
 * @throws TypeError when the value holds something JSON cannot carry (NaN, Infinity, undefined at the top).
 */
export function canonicalBytes(value: unknown): Uint8Array {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError("only JSON values have a canonical form");
  return Buffer.from(text, "utf8");
}

/** `sha256:<hex>` of the bytes: how digests are written everywhere. */
export const digestOf = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
