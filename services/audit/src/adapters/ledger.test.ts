import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { ledgerFile, outcomeEntry } from "../testing/ledger-file.ts";
import { openLedger } from "./ledger.ts";
import { tryLock } from "./writer-lock.ts";

const at = (sequence: number) => ({ created: "2026-11-21T00:00:00Z", sequence });
const sha256 = (...parts: Uint8Array[]) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

test("leaf and chain hashes are those of the decision record", () => {
  using file = ledgerFile();
  using ledger = openLedger(file.path);
  const [first, second] = [outcomeEntry(1), outcomeEntry(2)];
  ledger.append("OUTCOMES", [first, second], at(2));
  const leaf = (entry: { canonical: Uint8Array }) => sha256(Uint8Array.of(0), entry.canonical);
  const one = sha256(Uint8Array.of(1), new Uint8Array(32), leaf(first));
  const two = sha256(Uint8Array.of(1), one, leaf(second));
  expect(ledger.head()).toEqual({
    entries: 2,
    chain_hash: `sha256:${two.toString("hex")}`,
    key_id: "none",
    time: second.time,
  });
});

test("the same message appends once; other bytes under its id are a conflict and append nothing", () => {
  using file = ledgerFile();
  using ledger = openLedger(file.path);
  const entry = outcomeEntry(1, { id: "one" });
  expect(ledger.append("OUTCOMES", [entry, entry], at(1))).toEqual({ appended: 1, repeated: 1, conflicts: [] });
  expect(ledger.append("OUTCOMES", [entry], at(1))).toEqual({ appended: 0, repeated: 1, conflicts: [] });
  const other = outcomeEntry(1, { id: "one", completed_at: "2026-11-21T13:00:00.000Z" });
  expect(ledger.append("OUTCOMES", [other], at(2)).conflicts).toEqual([other]);
  expect(ledger.head().entries).toBe(1);
  expect(ledger.position("OUTCOMES")).toEqual(at(2));
  // The same request id in another tenant is another request.
  expect(ledger.append("OUTCOMES", [outcomeEntry(3, { id: "one", tenant: "other" })], at(3)).appended).toBe(1);
});

test("a batch is taken as a whole or not at all", () => {
  using file = ledgerFile();
  using ledger = openLedger(file.path);
  ledger.append("OUTCOMES", [outcomeEntry(1)], at(1));
  const head = ledger.head();
  const broken = { ...outcomeEntry(3), kind: "other" as "outcome" };
  expect(() => ledger.append("OUTCOMES", [outcomeEntry(2), broken], at(3))).toThrow(/CHECK/);
  expect(ledger.head()).toEqual(head);
  expect(ledger.position("OUTCOMES")).toEqual(at(1));
  expect(ledger.append("OUTCOMES", [outcomeEntry(2)], at(2)).appended).toBe(1);
});

test("it goes on where it stopped", () => {
  using file = ledgerFile();
  {
    using ledger = openLedger(file.path);
    ledger.append("OUTCOMES", [outcomeEntry(1)], at(1));
  }
  using ledger = openLedger(file.path);
  expect(ledger.head().entries).toBe(1);
  expect(ledger.position("OUTCOMES")).toEqual(at(1));
  expect(ledger.position("EVENTS")).toBeUndefined();
});

test("entries cannot be changed or removed through SQL", () => {
  using file = ledgerFile();
  using ledger = openLedger(file.path);
  ledger.append("OUTCOMES", [outcomeEntry(1)], at(1));
  using database = new DatabaseSync(file.path);
  expect(() => database.exec("UPDATE entry SET tenant = 'x'")).toThrow(/append-only/);
  expect(() => database.exec("DELETE FROM entry")).toThrow(/append-only/);
});

test("one process holds the lock; it is free when the holder lets go", () => {
  using file = ledgerFile();
  const first = tryLock(file.path);
  expect(first).toBeDefined();
  expect(tryLock(file.path)).toBeUndefined();
  first?.[Symbol.dispose]();
  using second = tryLock(file.path);
  expect(second).toBeDefined();
});
