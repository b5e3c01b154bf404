import { LIMITS, problem, type Result } from "@millrace/contracts";

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

/**
 * Milliseconds since 1970 of a `Millrace-Deadline` header (RFC 3339; the form was checked against the operation's
 * schema). One that has passed is a mistake of the client's clock or code, not a request.
 */
export function deadlineOf(header: string | undefined, now_ms: number): Result<number | undefined> {
  if (header === undefined) return { ok: true, value: undefined };
  const at = Date.parse(header);
  if (Number.isNaN(at)) return problem("invalid-header", `millrace-deadline: there is no time "${header}"`);
  if (at <= now_ms) return problem("invalid-header", `millrace-deadline: ${header} has passed`);
  return { ok: true, value: at };
}

/** Whether an `Accept` header asks for raw bytes rather than JSON: names them, and not JSON with them. */
export function prefersBinary(accept: string | undefined): boolean {
  if (accept === undefined || !accept.includes("application/octet-stream")) return false;
  return !/application\/(json|\*)/.test(accept);
}
