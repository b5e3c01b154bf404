import { mkdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Journal } from "../domain/journal.ts";
import type { StoredMessage } from "../domain/message.ts";
import type { Namespace } from "../domain/namespace.ts";
import type { RuleDefinition } from "../domain/rule.ts";
import type { ScheduledMessage } from "../domain/schedule.ts";
import type { SequenceCounter } from "../domain/sequence-counter.ts";
import type { SessionState } from "../domain/sessions.ts";
import type { EntityChange, EntityKind } from "../entity-catalog.ts";
import { rulesToText, textToRules } from "./rule-text.ts";
import { readOffered } from "./sections.ts";

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
  CREATE TABLE IF NOT EXISTS scheduled (
    entity TEXT NOT NULL,
    sequence_number INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    scheduled_at INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (entity, sequence_number)
  );
  CREATE TABLE IF NOT EXISTS session_states (
    queue TEXT NOT NULL,
    session_id TEXT NOT NULL,
    state BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (queue, session_id)
  );
  CREATE TABLE IF NOT EXISTS entities (
    path TEXT PRIMARY KEY COLLATE NOCASE,
    kind TEXT NOT NULL,
    properties TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS rules (subscription TEXT PRIMARY KEY, rules TEXT NOT NULL) WITHOUT ROWID;
`;

/** Columns that earlier versions did not have: a data folder of theirs is opened, and gets them. */
const ADDED_COLUMNS = [
  { table: "messages", column: "scheduled_for", type: "INTEGER" },
  { table: "counters", column: "enqueued", type: "INTEGER" },
] as const;

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
  scheduled_for: number | null;
}

/** Where each table says whose its rows are. */
const ENTITY_COLUMNS = [
  { table: "messages", column: "queue" },
  { table: "counters", column: "queue" },
  { table: "session_states", column: "queue" },
  { table: "scheduled", column: "entity" },
  { table: "history", column: "entity" },
  { table: "rules", column: "subscription" },
] as const;

const queuesOf = (entity: string) => [entity, `${entity}/$deadletterqueue`, `${entity}/$transfer/$deadletterqueue`];

/** `properties` are JSON, or null where the entity was deleted. */
interface EntityRow {
  path: string;
  kind: EntityKind;
  properties: string | null;
  created_at: number;
  updated_at: number;
}

interface SessionStateRow {
  queue: string;
  session_id: string;
  state: Uint8Array;
  updated_at: number;
}

interface ScheduledRow {
  entity: string;
  sequence_number: number;
  due_at: number;
  scheduled_at: number;
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
  readonly #schedule;
  readonly #unschedule;
  readonly #remember;
  readonly #forget;
  readonly #writeRules;
  readonly #keepState;
  readonly #dropState;
  readonly #writeEntity;
  readonly #moved = new Set<SequenceCounter>();
  #inTransaction = false;

  /** @throws when the folder cannot be written, or another process has the file open */
  constructor(dataDir: string) {
    mkdirSync(dataDir, { recursive: true });
    this.#db = new DatabaseSync(path.join(dataDir, "servicebus.sqlite"));
    // Two brokers on one file would each deliver every message: the lock is held for as long as this one runs.
    this.#db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    this.#db.exec(SCHEMA);
    for (const { table, column, type } of ADDED_COLUMNS) {
      const columns = this.#db.prepare(`SELECT name FROM pragma_table_info('${table}')`).all();
      if (!columns.some(({ name }) => name === column))
        this.#db.exec(`ALTER TABLE ${table} ADD COLUMN ${column} ${type}`);
    }
    this.#insert = this.#db.prepare(
      `INSERT INTO messages (queue, sequence_number, enqueued_at, expires_at, delivery_count, deferred, dead_letter,
        amendments, content, scheduled_for) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#update = this.#db.prepare(
      "UPDATE messages SET delivery_count = ?, deferred = ?, dead_letter = ?, amendments = ? WHERE queue = ? AND sequence_number = ?",
    );
    this.#remove = this.#db.prepare("DELETE FROM messages WHERE queue = ? AND sequence_number = ?");
    this.#advance = this.#db.prepare(
      "INSERT OR REPLACE INTO counters (queue, last_sequence_number, enqueued) VALUES (?, ?, ?)",
    );
    this.#schedule = this.#db.prepare(
      "INSERT INTO scheduled (entity, sequence_number, due_at, scheduled_at, content) VALUES (?, ?, ?, ?, ?)",
    );
    this.#unschedule = this.#db.prepare("DELETE FROM scheduled WHERE entity = ? AND sequence_number = ?");
    this.#remember = this.#db.prepare("INSERT OR REPLACE INTO history VALUES (?, ?, ?)");
    this.#keepState = this.#db.prepare("INSERT OR REPLACE INTO session_states VALUES (?, ?, ?, ?)");
    this.#dropState = this.#db.prepare("DELETE FROM session_states WHERE queue = ? AND session_id = ?");
    this.#writeEntity = this.#db.prepare("INSERT OR REPLACE INTO entities VALUES (?, ?, ?, ?, ?)");
    this.#writeRules = this.#db.prepare("INSERT OR REPLACE INTO rules VALUES (?, ?)");
    this.#forget = this.#db.prepare("DELETE FROM history WHERE entity = ? AND message_id = ?");
  }

  /** Puts everything stored back into the entities that still exist; what belongs to others stays in the file. */
  restore(namespace: Namespace, now: number): void {
    for (const row of this.#db.prepare("SELECT * FROM counters").iterate()) {
      const { queue, last_sequence_number, enqueued } = row as {
        queue: string;
        last_sequence_number: number;
        enqueued: number | null;
      };
      const { numbers } = namespace.queue(queue) ?? namespace.target(queue) ?? {};
      numbers?.restore(last_sequence_number, enqueued ?? last_sequence_number);
    }
    for (const row of this.#db.prepare("SELECT * FROM rules").iterate()) {
      const { subscription, rules } = row as { subscription: string; rules: string };
      namespace.rules(subscription)?.restore(textToRules(rules));
    }
    for (const row of this.#db.prepare("SELECT * FROM scheduled").iterate()) {
      const { entity, sequence_number, due_at, scheduled_at, content } = row as unknown as ScheduledRow;
      namespace.target(entity)?.schedule.restore({
        sequenceNumber: sequence_number,
        dueAt: due_at,
        scheduledAt: scheduled_at,
        offered: readOffered(bufferOf(content)),
      });
    }
    for (const row of this.#db.prepare("SELECT * FROM messages ORDER BY queue, sequence_number").iterate()) {
      const stored = row as unknown as MessageRow;
      const queue = namespace.queue(stored.queue);
      queue?.restore(toMessage(stored, queue.settings.requiresSession));
    }
    for (const row of this.#db.prepare("SELECT * FROM session_states").iterate()) {
      const { queue, session_id, state, updated_at } = row as unknown as SessionStateRow;
      namespace.queue(queue)?.sessions?.restoreState(session_id, { state: bufferOf(state), updatedAt: updated_at });
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
      message.scheduledFor ?? null,
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
  advance(counter: SequenceCounter): void {
    this.#moved.add(counter);
  }

  schedule(entity: string, { sequenceNumber, dueAt, scheduledAt, offered }: ScheduledMessage): void {
    this.#begin();
    this.#schedule.run(entity, sequenceNumber, dueAt, scheduledAt, offered.content);
  }

  unschedule(entity: string, sequenceNumber: number): void {
    this.#begin();
    this.#unschedule.run(entity, sequenceNumber);
  }

  remember(entity: string, messageId: string, expiresAt: number): void {
    this.#begin();
    this.#remember.run(entity, messageId, expiresAt);
  }

  forget(entity: string, messageId: string): void {
    this.#begin();
    this.#forget.run(entity, messageId);
  }

  writeRules(subscription: string, rules: readonly RuleDefinition[]): void {
    this.#begin();
    this.#writeRules.run(subscription, rulesToText(rules));
  }

  writeSessionState(queue: string, sessionId: string, kept: SessionState | undefined): void {
    this.#begin();
    if (kept) this.#keepState.run(queue, sessionId, kept.state, kept.updatedAt);
    else this.#dropState.run(queue, sessionId);
  }

  drop(entity: string): void {
    this.#begin();
    for (const counter of this.#moved) if (counter.name === entity) this.#moved.delete(counter);
    for (const { table, column } of ENTITY_COLUMNS) {
      this.#db.prepare(`DELETE FROM ${table} WHERE ${column} IN (?, ?, ?)`).run(...queuesOf(entity));
    }
  }

  /** Entities that were created, changed or deleted at run time; what the configuration says of others counts. */
  entities(): EntityChange[] {
    return this.#db
      .prepare("SELECT * FROM entities")
      .all()
      .map((row) => {
        const { path: at, kind, properties, created_at, updated_at } = row as unknown as EntityRow;
        const known = properties === null ? undefined : JSON.parse(properties);
        return { path: at, kind, properties: known, createdAt: created_at, updatedAt: updated_at };
      });
  }

  writeEntity({ path: at, kind, properties, createdAt, updatedAt }: EntityChange): void {
    this.#begin();
    this.#writeEntity.run(at, kind, properties ? JSON.stringify(properties) : null, createdAt, updatedAt);
  }

  forgetEntities(): void {
    this.#begin();
    this.#db.exec("DELETE FROM entities");
  }

  commit(): void {
    if (!this.#inTransaction) return;
    for (const { name, last, enqueued } of this.#moved) this.#advance.run(name, last, enqueued);
    this.#moved.clear();
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

/** The session is read from the message itself, which is where a sender has written it. */
function toMessage(row: MessageRow, inSession: boolean): StoredMessage {
  const content = bufferOf(row.content);
  return {
    sequenceNumber: row.sequence_number,
    enqueuedAt: row.enqueued_at,
    expiresAt: row.expires_at ?? undefined,
    content,
    sessionId: inSession ? readOffered(content).sessionId : undefined,
    scheduledFor: row.scheduled_for ?? undefined,
    deliveryCount: row.delivery_count,
    deferred: row.deferred === 1,
    deadLetter: row.dead_letter === null ? undefined : JSON.parse(row.dead_letter),
    amendments: row.amendments === null ? undefined : bufferOf(row.amendments),
  };
}

const bufferOf = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
