import { DatabaseSync } from "node:sqlite";

/** Held by the one process that writes the ledger. */
export type WriterLock = Disposable;

/**
 * Takes the ledger's lock, or answers undefined while another process holds it. The lock is an exclusive SQLite
 * transaction on a file of its own (`<ledger>.lock`): the operating system gives it up when the holder dies, however it
 * dies, so there is no lease to wait for; and readers of the ledger itself are not shut out.
 */
export function tryLock(ledgerFile: string): WriterLock | undefined {
  const database = new DatabaseSync(`${ledgerFile}.lock`, { timeout: 0 });
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    database.close();
    if ((cause as { errcode?: number }).errcode === SQLITE_BUSY) return undefined;
    throw cause;
  }
  return { [Symbol.dispose]: () => database.close() };
}

const SQLITE_BUSY = 5;
