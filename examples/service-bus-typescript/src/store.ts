import { DatabaseSync } from "node:sqlite";
import type { Prediction } from "./prediction.ts";

/**
 * The effect of a message and the mark that it was handled, in one transaction: after a crash either both are there or
 * neither. This is what makes a repeat harmless, also long after the topic has forgotten the id.
 */
export class Store {
  readonly #database: DatabaseSync;

  constructor(file: string) {
    this.#database = new DatabaseSync(file, { timeout: 5_000 }); // of several consumers, one writes at a time
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      CREATE TABLE IF NOT EXISTS handled (message_id TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS predictions (
        message_id TEXT NOT NULL, correlation_id TEXT, tenant TEXT, model TEXT, state TEXT,
        request_sequence INTEGER, leaf_hash TEXT, body TEXT
      );`);
  }

  /** @returns false when the message had been handled before, and nothing was done */
  handleOnce(prediction: Prediction): boolean {
    const { messageId, correlationId, tenant, model, state, requestSequence, leafHash, body } = prediction;
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const mark = this.#database.prepare("INSERT INTO handled VALUES (?, ?) ON CONFLICT DO NOTHING");
      const first = mark.run(messageId, new Date().toISOString()).changes === 1;
      if (first)
        this.#database
          .prepare("INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
          .run(messageId, correlationId ?? null, tenant, model, state, requestSequence, leafHash, body);
      this.#database.exec("COMMIT");
      return first;
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  close(): void {
    this.#database.close();
  }
}
