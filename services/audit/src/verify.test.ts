import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openLedger } from "./adapters/ledger.ts";
import { chainHash, leafHash } from "./domain/chain.ts";
import { ledgerFile, outcomeEntry } from "./testing/ledger-file.ts";
import { verifyLedger } from "./verify.ts";

let stack: DisposableStack;
let file: string;
let head: { entries: number; chain_hash: string };

beforeEach(() => {
  stack = new DisposableStack();
  file = stack.use(ledgerFile()).path;
  using ledger = openLedger(file);
  const entries = Array.from({ length: 10 }, (_, index) => outcomeEntry(index + 1, { id: `r-${index + 1}` }));
  ledger.append("OUTCOMES", entries, { created: "c", sequence: 10 });
  head = ledger.head();
});
afterEach(() => stack.dispose());

/** Changes the file as someone with full access to it would. */
function tamper(change: (database: DatabaseSync) => void): void {
  using database = new DatabaseSync(file);
  database.exec("DROP TRIGGER entry_is_never_changed; DROP TRIGGER entry_is_never_removed;");
  change(database);
}

test("an untouched ledger is right, and extends every head it ever had", () => {
  expect(verifyLedger(file)).toEqual({ ok: true, entries: 10, chain_hash: head.chain_hash });
  expect(verifyLedger(file, head)).toMatchObject({ ok: true });
});

describe("the first wrong row is named", () => {
  test.each([
    [
      "a record",
      "UPDATE entry SET record = CAST(replace(CAST(record AS TEXT), '0.5', '0.1') AS BLOB) WHERE seq = 4",
      4,
      "leaf hash",
    ],
    ["a leaf hash", "UPDATE entry SET leaf_hash = zeroblob(32) WHERE seq = 4", 4, "leaf hash"],
    ["a chain hash", "UPDATE entry SET chain_hash = zeroblob(32) WHERE seq = 5", 5, "chain hash"],
    ["a column", "UPDATE entry SET tenant = 'other' WHERE seq = 6", 6, "tenant"],
    ["the kind", "UPDATE entry SET kind = 'event' WHERE seq = 6", 6, "not an event"],
    ["the framing", "UPDATE entry SET header_length = 3 WHERE seq = 6", 6, "not an outcome"],
    ["a removed row", "DELETE FROM entry WHERE seq = 7", 7, "missing"],
    ["the first row removed", "DELETE FROM entry WHERE seq = 1", 1, "missing"],
    [
      "rows that were moved up",
      "DELETE FROM entry WHERE seq = 7; UPDATE entry SET seq = seq - 1 WHERE seq > 7",
      7,
      "chain",
    ],
  ])("%s", (_what, sql, seq, why) => {
    tamper((database) => database.exec(sql));
    expect(verifyLedger(file)).toMatchObject({ ok: false, seq, why: expect.stringContaining(why) });
  });
});

test("a cut end shows against a head noted earlier", () => {
  tamper((database) => database.exec("DELETE FROM entry WHERE seq > 8"));
  expect(verifyLedger(file)).toMatchObject({ ok: true, entries: 8 });
  expect(verifyLedger(file, head)).toMatchObject({ ok: false, seq: 9 });
});

test("a last row made anew with right hashes shows against a head noted earlier", () => {
  tamper((database) => {
    const forged = outcomeEntry(10, { id: "r-10", completed_at: "2026-11-21T23:00:00.000Z" });
    const before = database.prepare("SELECT chain_hash FROM entry WHERE seq = 9").get() as { chain_hash: Uint8Array };
    const leaf = leafHash(forged.canonical);
    database
      .prepare("UPDATE entry SET record = ?, leaf_hash = ?, chain_hash = ?, time = ? WHERE seq = 10")
      .run(forged.canonical, leaf, chainHash(before.chain_hash, leaf), forged.time);
  });
  expect(verifyLedger(file)).toMatchObject({ ok: true });
  expect(verifyLedger(file, head)).toMatchObject({ ok: false, seq: 10, why: expect.stringContaining("noted head") });
});
