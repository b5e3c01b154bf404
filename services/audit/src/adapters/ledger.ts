import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { StreamPosition } from "@millrace/bus";
import { type AuditHead, type LedgerPositions, NO_KEY } from "@millrace/contracts";
import { chainHash, GENESIS, leafHash, written } from "../domain/chain.ts";
import type { NewEntry } from "../domain/entry.ts";
import type { LedgerQuery } from "../domain/question.ts";
import { LEDGER_SCHEMA, type LedgerRow } from "./schema.ts";

export type Appended = {
  appended: number;
  /** Were there before, with the same bytes. */
  repeated: number;
  /** Other bytes under an id that the ledger has: nothing was appended, and someone must look. */
  conflicts: readonly NewEntry[];
};

/** The append-only ledger. One process writes it (see writer-lock.ts); any may read it. */
export type Ledger = Disposable & {
  head(): AuditHead;
  position(stream: string): StreamPosition | undefined;
  /** Appends what it does not have yet and moves the position, in one transaction that is on disk when this returns. */
  append(stream: string, entries: readonly NewEntry[], position: StreamPosition): Appended;
  /**
   * Offers the rows that the query asks for, in its order, until `take` refuses one or `limit` are taken. Answers the
   * position to go on after when more may follow. Bounded in time: it may end early, and even without a row.
   */
  find(query: LedgerQuery, take: (row: FoundRow) => boolean): number | undefined;
  /** Which positions of a stream have rows, behind a ledger position: at most {@link POSITIONS_MAX} rows of it. */
  positions(stream: string, after: number): LedgerPositions;
};

/** A row as a search gives it: `record` only when it was asked for. */
export type FoundRow = Omit<LedgerRow, "record"> & { record_bytes: number; record?: Uint8Array };

/** Rows looked at in one step of a search that no index narrows. */
const WINDOW_ROWS = 20_000;
/** The writer answers questions between batches: a search ends here and says where to go on. */
const SEARCH_MS_MAX = 250;

/**
 * Opens or creates a ledger for writing.
 * @throws when the file is not a ledger.
 */
export function openLedger(file: string): Ledger {
  const database = new DatabaseSync(file, { timeout: 5_000 });
  // FULL: a commit is on disk (fsync of the WAL) before the message is acked.
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;");
  database.exec(LEDGER_SCHEMA);
  const statements = prepare(database);
  let head = readHead(statements.last);

  const insert = (entry: NewEntry, leaf: Uint8Array) => {
    const { canonical, ...columns } = entry;
    const chain = chainHash(head.chain, leaf);
    statements.insert.run({
      ...columns,
      seq: head.seq + 1,
      leaf_hash: leaf,
      chain_hash: chain,
      key_id: NO_KEY,
      record: canonical,
    });
    head = { seq: head.seq + 1, chain, time: entry.time };
  };

  return {
    head: () => ({
      entries: head.seq,
      chain_hash: written(head.chain),
      key_id: NO_KEY,
      ...(head.time === undefined ? {} : { time: head.time }),
    }),

    position(stream) {
      const row = statements.position.get(stream) as StreamPosition | undefined;
      return row && { created: row.created, sequence: row.sequence };
    },

    append(stream, entries, position) {
      const before = head;
      const conflicts: NewEntry[] = [];
      let repeated = 0;
      database.exec("BEGIN IMMEDIATE");
      try {
        for (const entry of entries) {
          const leaf = leafHash(entry.canonical);
          const known = statements.known.get(entry.id, entry.subject) as { leaf_hash: Uint8Array } | undefined;
          if (!known) insert(entry, leaf);
          else if (Buffer.compare(known.leaf_hash, leaf) === 0) repeated++;
          else conflicts.push(entry);
        }
        statements.move.run(stream, position.created, position.sequence);
        database.exec("COMMIT");
      } catch (cause) {
        head = before;
        if (database.isTransaction) database.exec("ROLLBACK");
        throw cause;
      }
      return { appended: head.seq - before.seq, repeated, conflicts };
    },

    find: (query, take) => find(database, { query, entries: head.seq, take }),

    positions(stream, after) {
      const runs: [number, number][] = [];
      let last = after;
      let rows = 0;
      for (const row of statements.positions.iterate(after, POSITIONS_MAX) as Iterable<PositionRow>) {
        rows++;
        last = row.seq;
        if (row.stream !== stream) continue;
        const run = runs.at(-1);
        if (run && run[1] === row.stream_sequence - 1) run[1] = row.stream_sequence;
        else runs.push([row.stream_sequence, row.stream_sequence]);
      }
      const position = this.position(stream);
      return { ...(position ? { position } : {}), runs, ...(rows === POSITIONS_MAX ? { next: last } : {}) };
    },

    [Symbol.dispose]: () => database.close(),
  };
}

type PositionRow = Pick<LedgerRow, "seq" | "stream" | "stream_sequence">;
/** Rows looked at for one answer: 20 ms of the writer's time, and at worst 600 KB of runs. */
const POSITIONS_MAX = 25_000;

type Head = { seq: number; chain: Uint8Array; time: string | undefined };

function readHead(last: StatementSync): Head {
  const row = last.get() as Pick<LedgerRow, "seq" | "chain_hash" | "time"> | undefined;
  return row ? { seq: row.seq, chain: row.chain_hash, time: row.time } : { seq: 0, chain: GENESIS, time: undefined };
}

const COLUMNS = [
  ...["seq", "kind", "id", "type", "stream", "stream_sequence", "subject", "tenant", "project", "model", "request_id"],
  ...["state", "time", "time_ms", "principal", "correlation_id", "request_digest", "header_length"],
  ...["leaf_hash", "chain_hash", "key_id", "record"],
];

const prepare = (database: DatabaseSync) => ({
  insert: database.prepare(`INSERT INTO entry (${COLUMNS}) VALUES (${COLUMNS.map((column) => `$${column}`)})`),
  known: database.prepare("SELECT leaf_hash FROM entry WHERE id = ? AND subject = ?"),
  last: database.prepare("SELECT seq, chain_hash, time FROM entry ORDER BY seq DESC LIMIT 1"),
  positions: database.prepare("SELECT seq, stream, stream_sequence FROM entry WHERE seq > ? ORDER BY seq LIMIT ?"),
  position: database.prepare("SELECT created, sequence FROM position WHERE stream = ?"),
  move: database.prepare(
    `INSERT INTO position (stream, created, sequence) VALUES (?, ?, ?)
     ON CONFLICT (stream) DO UPDATE SET created = excluded.created, sequence = excluded.sequence`,
  ),
});

function find(
  database: DatabaseSync,
  { query, entries, take }: { query: LedgerQuery; entries: number; take: (row: FoundRow) => boolean },
): number | undefined {
  const { descending } = query;
  const { select, values } = prepareSearch(database, query);
  // An id is found through its index; anything else is searched window by window, so that the time is bounded.
  const step = query.id === undefined ? WINDOW_ROWS : entries + 1;
  const deadline = performance.now() + SEARCH_MS_MAX;
  let after = Math.min(query.after ?? Number.POSITIVE_INFINITY, entries + 1);
  if (!descending) after = query.after ?? 0;
  const next = () => ((descending ? after > 1 : after < entries) ? after : undefined);
  let taken = 0;
  while (next() !== undefined && taken < query.limit && performance.now() < deadline) {
    const [above, below] = descending
      ? [Math.max(0, after - 1 - step), after]
      : [after, Math.min(entries, after + step) + 1];
    for (const row of select.iterate({ ...values, above, below, limit: query.limit - taken }) as Iterable<FoundRow>) {
      if (!take(row)) return next();
      taken++;
      after = row.seq;
    }
    if (taken < query.limit) after = descending ? above + 1 : below - 1;
  }
  return query.limit === 0 ? undefined : next();
}

/** Conditions are made of the names in LedgerQuery only; what a caller says is bound as a value. */
function prepareSearch(database: DatabaseSync, query: LedgerQuery) {
  const values: Record<string, string | number> = { ...query.equal };
  const where = Object.keys(query.equal).map((column) => `${column} = $${column}`);
  const add = (condition: string, name: string, value: string | number | undefined) => {
    if (value === undefined) return;
    where.push(condition);
    values[name] = value;
  };
  add("(request_id = $id OR id = $id)", "id", query.id);
  add("time_ms >= $from_ms", "from_ms", query.from_ms);
  add("time_ms < $to_ms", "to_ms", query.to_ms);
  where.push("seq > $above", "seq < $below");
  const columns = COLUMNS.filter((column) => column !== "record" || query.withRecord);
  const select = database.prepare(
    `SELECT ${columns}, length(record) AS record_bytes FROM entry WHERE ${where.join(" AND ")}
     ORDER BY seq ${query.descending ? "DESC" : "ASC"} LIMIT $limit`,
  );
  return { select, values };
}
