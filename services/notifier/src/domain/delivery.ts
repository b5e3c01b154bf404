import { RETRIES } from "@millrace/contracts";

/** What came of one attempt to deliver. */
export type Attempt =
  | { kind: "delivered"; status: number }
  /** Worth another try: the receiver's or the network's trouble. */
  | { kind: "failed"; why: string; after_ms?: number }
  /** Nothing was sent, for a reason of our own: costs no attempt. */
  | { kind: "held"; why: string }
  /** For good: the receiver does not want it, or we do not go there. */
  | { kind: "refused"; why: string; status?: number };

/** A receiver may ask for more time than the table gives, up to the table's longest delay. */
const AFTER_MS_MAX = Math.max(...RETRIES.delivery.delays_ms);

/**
 * What a receiver's answer means. 2xx: delivered. 408, 429, 5xx: later, heeding `retry-after`. All else is refused:
 * a redirect is not followed, since it would lead past the check of the address and past what the operator wrote.
 */
export function attemptOf(answer: { status: number; retryAfter?: string | undefined }, now_ms: number): Attempt {
  const { status } = answer;
  if (status >= 200 && status < 300) return { kind: "delivered", status };
  const why = `the receiver answered ${status}`;
  if (status === 408 || status === 429 || status >= 500) {
    const after_ms = answer.retryAfter === undefined ? undefined : retryAfter_ms(answer.retryAfter, now_ms);
    return { kind: "failed", why, ...(after_ms === undefined ? {} : { after_ms }) };
  }
  if (status >= 300 && status < 400) return { kind: "refused", why: `${why}; redirects are not followed` };
  return { kind: "refused", why, status };
}

/** What receivers answer to a signature of a key that they do not have. */
export const isDisbelief = ({ status }: { status?: number }): boolean => status === 401 || status === 403;

/** `Retry-After` (RFC 9110 §10.2.3): seconds or an HTTP date. */
function retryAfter_ms(value: string, now_ms: number): number | undefined {
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - now_ms;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), AFTER_MS_MAX);
}
