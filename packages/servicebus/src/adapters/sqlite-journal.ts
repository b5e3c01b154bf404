import { mkdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Journal } from "../domain/journal.ts";
import type { StoredMessage } from "../domain/message.ts";
import type { Namespace } from "../domain/namespace.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS messages (
    queue TEXT NOT NULL,
    sequence_number INTEGER NOT NULL,
    enqueued_at INTEGER NOT NULL,
    expires_at INTEGER,
    delivery_count INTEGER NOT NULL,
    deferred INTEGER NOT NULL,
    dead_letter TEXT,
    amendments BLOB,
    content BLOB NOT NULL,
    PRIMARY KEY (queue, sequence_number)
  );
  CREATE TABLE IF NOT EXISTS counters (queue TEXT PRIMARY KEY, last_sequence_number INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS history (
    entity TEXT NOT NULL,
    message_id TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (entity, message_id)
  ) WITHOUT ROWID;
`;

interface MessageRow {
  queue: string;
  sequence_number: number;
  enqueued_at: number;
  expires_at: number | null;
  delivery_count: number;
  deferred: number;
  dead_letter: string | null;
  amendments: Uint8Array | null;
  content: Uint8Array;
}

/**
 * The broker's state in one SQLite file. Each commit is one transaction in a write-ahead log that is synced to disk before
 * `commit` returns (`synchronous = FULL`), so an accepted message survives a killed process and a power cut. Locks are not
 * kept: after a restart every message that was locked is available again, as after a lock that expired.
 */
export class SqliteJournal implements Journal {
  readonly #db: DatabaseSync;
  readonly #insert;
  readonly #update;
  readonly #remove;
  readonly #advance;
  readonly #remember;
  readonly #forget;
  readonly #counters = new Map<string, number>();
  #inTransaction = false;

  /** @throws when the folder cannot be written, or another process has the file open */
  constructor(dataDir: string) {
    mkdirSync(dataDir, { recursive: true });
    this.#db = new DatabaseSync(path.join(dataDir, "servicebus.sqlite"));
    // Two brokers on one file would each deliver every message: the lock is held for as long as this one runs.
    this.#db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    this.#db.exec(SCHEMA);
    this.#insert = this.#db.prepare("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    this.#update = this.#db.prepare(
      "UPDATE messages SET delivery_count = ?, deferred = ?, dead_letter = ?, amendments = ? WHERE queue = ? AND sequence_number = ?",
    );
    this.#remove = this.#db.prepare("DELETE FROM messages WHERE queue = ? AND sequence_number = ?");
    this.#advance = this.#db.prepare("INSERT OR REPLACE INTO counters VALUES (?, ?)");
    this.#remember = this.#db.prepare("INSERT OR REPLACE INTO history VALUES (?, ?, ?)");
    this.#forget = this.#db.prepare("DELETE FROM history WHERE entity = ? AND message_id = ?");
  }

  /** Puts everything stored back into the entities that still exist; what belongs to others stays in the file. */
  restore(namespace: Namespace, now: number): void {
    for (const row of this.#db.prepare("SELECT * FROM counters").iterate()) {
      const { queue, last_sequence_number } = row as { queue: string; last_sequence_number: number };
      namespace.queue(queue)?.restoreCounter(last_sequence_number);
    }
    for (const row of this.#db.prepare("SELECT * FROM messages ORDER BY queue, sequence_number").iterate()) {
      const stored = row as unknown as MessageRow;
      namespace.queue(stored.queue)?.restore(toMessage(stored));
    }
    this.#db.prepare("DELETE FROM history WHERE expires_at <= ?").run(now);
    for (const row of this.#db.prepare("SELECT * FROM history ORDER BY expires_at").iterate()) {
      const { entity, message_id, expires_at } = row as { entity: string; message_id: string; expires_at: number };
      namespace.target(entity)?.history?.restore(message_id, expires_at);
    }
  }

  insert(queue: string, message: StoredMessage): void {
    this.#begin();
    this.#insert.run(
      queue,
      message.sequenceNumber,
      message.enqueuedAt,
      message.expiresAt ?? null,
      message.deliveryCount,
      Number(message.deferred),
      message.deadLetter ? JSON.stringify(message.deadLetter) : null,
      message.amendments ?? null,
      message.content,
    );
  }

  update(queue: string, message: StoredMessage): void {
    this.#begin();
    const deadLetter = message.deadLetter ? JSON.stringify(message.deadLetter) : null;
    this.#update.run(
      message.deliveryCount,
      Number(message.deferred),
      deadLetter,
      message.amendments ?? null,
      queue,
      message.sequenceNumber,
    );
  }

  remove(queue: string, sequenceNumber: number): void {
    this.#begin();
    this.#remove.run(queue, sequenceNumber);
  }

  /** Written once per commit, whatever the number of messages. */
  advance(queue: string, lastSequenceNumber: number): void {
    this.#counters.set(queue, lastSequenceNumber);
  }

  remember(entity: string, messageId: string, expiresAt: number): void {
    this.#begin();
    this.#remember.run(entity, messageId, expiresAt);
  }

  forget(entity: string, messageId: string): void {
    this.#begin();
    this.#forget.run(entity, messageId);
  }

  commit(): void {
    if (!this.#inTransaction) return;
    for (const [queue, lastSequenceNumber] of this.#counters) this.#advance.run(queue, lastSequenceNumber);
    this.#counters.clear();
    this.#db.exec("COMMIT");
    this.#inTransaction = false;
  }

  close(): void {
    this.commit();
    this.#db.close();
  }

  #begin(): void {
    if (this.#inTransaction) return;
    this.#db.exec("BEGIN IMMEDIATE");
    this.#inTransaction = true;
  }
}

function toMessage(row: MessageRow): StoredMessage {
  return {
    sequenceNumber: row.sequence_number,
    enqueuedAt: row.enqueued_at,
    expiresAt: row.expires_at ?? undefined,
    content: bufferOf(row.content),
    deliveryCount: row.delivery_count,
    deferred: row.deferred === 1,
    deadLetter: row.dead_letter === null ? undefined : JSON.parse(row.dead_letter),
    amendments: row.amendments === null ? undefined : bufferOf(row.amendments),
  };
}

const bufferOf = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
