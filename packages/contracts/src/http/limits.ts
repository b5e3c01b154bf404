/** Bounds of the HTTP API. A client that stays below them is never refused for size. */

const KiB = 1024;

export const LIMITS = {
  /** One request body; NATS carries 1 MiB per message unless configured otherwise. */
  body_bytes: 1024 * KiB,
  /** A request as it is stored, which leaves room for its headers. Canonical JSON may be longer than what was sent. */
  stored_bytes: 1024 * KiB - 16 * KiB,
  /** The payload that a redrive runs instead of the original: it travels in the decision's event, in base64. */
  edited_bytes: 720 * KiB,
  /** `Prefer: wait=N`; a longer wait is cut to this. */
  wait_s: 60,
  /** How long an OIP `infer` waits when `Prefer` says nothing. */
  infer_wait_s: 30,
  bulk: {
    /** One line of a bulk upload. */
    line_bytes: 256 * KiB,
    /** Tensor bytes of one packed request. */
    pack_bytes: 256 * KiB,
    /** Lines of one upload. */
    lines: 1_000_000,
    /** Requests of one upload: bounds `rows=1` and the size of the summary. */
    requests: 50_000,
    /** Errors listed in the summary; all are counted. */
    errors: 100,
  },
  /** Event streams open at once in one process. */
  event_streams: 1_000,
} as const;
