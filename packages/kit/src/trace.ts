import { randomUUID } from "node:crypto";

/** W3C Trace Context `traceparent`, version 00. https://www.w3.org/TR/trace-context/#traceparent-header */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})$/;

/** Continues the caller's trace with a span of our own, or starts a new one when the header is absent or invalid. */
export function childTraceparent(parent: string | undefined): string {
  const match = parent === undefined ? null : TRACEPARENT.exec(parent);
  const traceId = match?.[1] ?? randomUUID().replaceAll("-", "");
  // The tail of a random UUID is random, with a fixed bit that keeps a span id from being all zeros. Node draws
  // entropy for many UUIDs at once, where asking for bytes costs a call into the kernel's generator each time.
  return `00-${traceId}-${randomUUID().replaceAll("-", "").slice(16)}-${match?.[2] ?? "01"}`;
}

/** The trace id of a valid traceparent, for log lines. */
export const traceId = (traceparent: string | undefined): string | undefined =>
  traceparent === undefined ? undefined : TRACEPARENT.exec(traceparent)?.[1];
