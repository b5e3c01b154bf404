import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { encodeDone, outcomeSubject } from "@millrace/contracts";
import { doneRecord } from "@millrace/testkit";
import { type NewEntry, toEntry } from "../domain/entry.ts";

/** A path for a ledger in a directory that goes away with it. */
export function ledgerFile(): Disposable & { path: string } {
  const dir = mkdtempSync(path.join(tmpdir(), "millrace-ledger-"));
  return { path: path.join(dir, "ledger.db"), [Symbol.dispose]: () => rmSync(dir, { recursive: true }) };
}

/** The entry of a result at a position of OUTCOMES. */
export function outcomeEntry(sequence: number, over: Parameters<typeof doneRecord>[0] = {}): NewEntry {
  const record = doneRecord(over);
  const { tenant, project, id } = record;
  return toEntry({
    stream: "OUTCOMES",
    subject: outcomeSubject({ tenant, project, model: record.model.name, id, state: "done" }),
    sequence,
    body: encodeDone(record, "json").bytes,
    stored_at: new Date("2026-11-21T12:00:00.500Z"),
    header: () => undefined,
  });
}
