import type { AuditAnswer, AuditEntry } from "@millrace/contracts";
import type { FoundRow, Ledger } from "../adapters/ledger.ts";
import { written } from "../domain/chain.ts";
import { toQuery } from "../domain/question.ts";

/** Bytes of entries in one answer: NATS carries 1 MiB, and the rest of the answer needs room too. */
export const ANSWER_BYTES_MAX = 900 * 1024;

/** Answers a question about the ledger; a page ends early rather than outgrow a message. */
export const onAuditAsked =
  (ledger: Pick<Ledger, "find" | "head">) =>
  (question: unknown): AuditAnswer => {
    const query = toQuery(question);
    if (!query.ok) return { problem: { ...query.problem, code: "invalid-query" } };
    const entries: AuditEntry[] = [];
    let bytes = 0;
    const next = ledger.find(query.value, (row) => {
      const entry = toAuditEntry(row);
      const size = JSON.stringify(entry).length;
      if (bytes + size > ANSWER_BYTES_MAX && entries.length > 0) return false;
      // A record too large for any answer is left out; its entry, with digest and length, is not.
      if (size > ANSWER_BYTES_MAX) delete entry.record;
      entries.push(entry);
      bytes += Math.min(size, ANSWER_BYTES_MAX);
      return true;
    });
    return { entries, ...(next === undefined ? {} : { next }), head: ledger.head() };
  };

function toAuditEntry(row: FoundRow): AuditEntry {
  const { tenant, project, model, request_id, state, principal, correlation_id, request_digest, header_length } = row;
  const optional = {
    ...{ tenant, project, model, request_id, state, principal, correlation_id, request_digest, header_length },
    record: row.record ? Buffer.from(row.record).toString("base64") : null,
  };
  return {
    seq: row.seq,
    kind: row.kind,
    id: row.id,
    type: row.type,
    stream: row.stream,
    stream_sequence: row.stream_sequence,
    subject: row.subject,
    time: row.time,
    leaf_hash: written(row.leaf_hash),
    chain_hash: written(row.chain_hash),
    key_id: row.key_id,
    record_bytes: row.record_bytes,
    ...present(optional),
  };
}

type Present<T> = { [Name in keyof T]?: NonNullable<T[Name]> };
const present = <T extends Record<string, unknown>>(of: T): Present<T> =>
  Object.fromEntries(Object.entries(of).filter(([, value]) => value !== null)) as Present<T>;
