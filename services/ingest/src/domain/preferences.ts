import { LIMITS } from "@millrace/contracts";

/**
 * Seconds of `Prefer: wait=N` (RFC 7240 §4.3), cut to the bound; undefined when the header does not ask for a wait.
 * Unknown and malformed preferences are passed over, as the RFC wants.
 */
export function waitPreference(prefer: string | undefined): number | undefined {
  if (prefer === undefined) return undefined;
  for (const preference of prefer.split(",")) {
    const match = /^\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:;.*)?$/i.exec(preference);
    if (match) return Math.min(Number(match[1]), LIMITS.wait_s);
  }
  return undefined;
}

/** The key of an `Idempotency-Key` header; the draft standard quotes it, most clients do not. */
export const idempotencyKey = (header: string | undefined): string | undefined =>
  header !== undefined && header.length > 2 && header.startsWith('"') && header.endsWith('"')
    ? header.slice(1, -1)
    : header;

/** Whether an `Accept` header asks for raw bytes rather than JSON: names them, and not JSON with them. */
export function prefersBinary(accept: string | undefined): boolean {
  if (accept === undefined || !accept.includes("application/octet-stream")) return false;
  return !/application\/(json|\*)/.test(accept);
}
