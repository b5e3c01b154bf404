import type { EntryFacts } from "../domain/entry.ts";

/** One row of the ledger. */
export type LedgerRow = EntryFacts & {
  /** Position in the ledger, from 1, without gaps. */
  seq: number;
  stream: string;
  stream_sequence: number;
  time_ms: number;
  header_length: number | null;
  leaf_hash: Uint8Array;
  chain_hash: Uint8Array;
  key_id: string;
  /** The canonical bytes. */
  record: Uint8Array;
};

/**
 * `entry` is append-only, which triggers hold even against this service's own mistakes. Its columns are an index over
 * `record`; verification derives them again. `record` is last, so that a search does not read through it.
 * One outcome or event is one (id, subject): ids are made per tenant, and a subject names the tenant.
 */
export const LEDGER_SCHEMA = `
CREATE TABLE IF NOT EXISTS entry (
  seq             INTEGER PRIMARY KEY,
  kind            TEXT NOT NULL CHECK (kind IN ('outcome', 'event', 'unreadable')),
  id              TEXT NOT NULL,
  type            TEXT NOT NULL,
  stream          TEXT NOT NULL,
  stream_sequence INTEGER NOT NULL,
  subject         TEXT NOT NULL,
  tenant          TEXT,
  project         TEXT,
  model           TEXT,
  request_id      TEXT,
  state           TEXT,
  time            TEXT NOT NULL,
  time_ms         INTEGER NOT NULL,
  principal       TEXT,
  correlation_id  TEXT,
  request_digest  TEXT,
  header_length   INTEGER,
  leaf_hash       BLOB NOT NULL CHECK (length(leaf_hash) = 32),
  chain_hash      BLOB NOT NULL CHECK (length(chain_hash) = 32),
  key_id          TEXT NOT NULL,
  record          BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS entry_once ON entry (id, subject);
CREATE INDEX IF NOT EXISTS entry_request ON entry (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS entry_project ON entry (tenant, project, model);
CREATE TRIGGER IF NOT EXISTS entry_is_never_changed BEFORE UPDATE ON entry
  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entry_is_never_removed BEFORE DELETE ON entry
  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TABLE IF NOT EXISTS position (
  stream   TEXT PRIMARY KEY,
  created  TEXT NOT NULL,
  sequence INTEGER NOT NULL
) STRICT;
PRAGMA user_version = 1;
`;
