import { createHmac } from "node:crypto";
import { ok, problem, type Result } from "@millrace/contracts";

/**
 * Symmetric signatures of the Standard Webhooks specification 1.0.0.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme
 */

const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/;
const KEY_BYTES_MIN = 24;
const KEY_BYTES_MAX = 64;

/** The HMAC key of a `whsec_…` secret. The secret itself is never part of the problem's text. */
export function keyOf(secret: string): Result<Uint8Array> {
  const key = Buffer.from(SECRET.exec(secret)?.[1] ?? "", "base64");
  return key.length >= KEY_BYTES_MIN && key.length <= KEY_BYTES_MAX
    ? ok(key)
    : problem("wrong-value", `the secret must be whsec_ and the base64 of ${KEY_BYTES_MIN} to ${KEY_BYTES_MAX} bytes`);
}

/**
 * The three headers of one attempt. Each key signs, so that a receiver that has the old key or the new one believes it:
 * the specification allows for several signatures. `now_ms` is the time of the attempt; receivers refuse old ones.
 */
export function signedHeaders(
  message: { id: string; body: Uint8Array },
  keys: readonly Uint8Array[],
  now_ms: number,
): Record<string, string> {
  const timestamp = Math.floor(now_ms / 1_000);
  const signatures = keys.map((key) =>
    createHmac("sha256", key).update(`${message.id}.${timestamp}.`).update(message.body).digest("base64"),
  );
  return {
    "webhook-id": message.id,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": signatures.map((signature) => `v1,${signature}`).join(" "),
  };
}
