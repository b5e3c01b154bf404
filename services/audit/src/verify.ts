import { DatabaseSync } from "node:sqlite";
import type { LedgerRow } from "./adapters/schema.ts";
import { chainHash, GENESIS, leafHash, written } from "./domain/chain.ts";
import { type EntryFacts, factsOf } from "./domain/entry.ts";

export type Verification =
  | { ok: true; entries: number; chain_hash: string }
  /** `seq`: the first row that is wrong; the rows before it are as they were written. */
  | { ok: false; seq: number; why: string };

/** A head that was noted earlier. */
export type KnownHead = { entries: number; chain_hash: string };

/**
 * Computes the whole chain again from the canonical bytes, and every row's columns with it. Needs only the file, which
 * may be in use. A chain proves that nothing was changed, inserted or removed before its end; that the end itself was
 * not cut off or made anew shows only against a head noted earlier.
 * @throws when the file is no ledger.
 */
export function verifyLedger(file: string, known?: KnownHead): Verification {
  using database = new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
  let entries = 0;
  let chain = GENESIS;
  if (known?.entries === 0 && known.chain_hash !== written(GENESIS))
    return { ok: false, seq: 0, why: "the noted head is not that of an empty ledger" };
  for (const row of database.prepare("SELECT * FROM entry ORDER BY seq").iterate() as Iterable<LedgerRow>) {
    const expected = entries + 1;
    if (row.seq !== expected) return { ok: false, seq: expected, why: `row ${expected} is missing` };
    const leaf = leafHash(row.record);
    chain = chainHash(chain, leaf);
    const why = wrong(row, { leaf, chain });
    if (why) return { ok: false, seq: row.seq, why };
    entries = row.seq;
    if (known?.entries === entries && known.chain_hash !== written(chain))
      return {
        ok: false,
        seq: entries,
        why: `the chain hash is ${written(chain)}, the noted head ${known.chain_hash}`,
      };
  }
  if (known && known.entries > entries)
    return { ok: false, seq: entries + 1, why: `the ledger ends at ${entries}, the noted head is at ${known.entries}` };
  return { ok: true, entries, chain_hash: written(chain) };
}

/** What is wrong with a row, or undefined. */
function wrong(row: LedgerRow, computed: { leaf: Uint8Array; chain: Uint8Array }): string | undefined {
  if (Buffer.compare(row.leaf_hash, computed.leaf) !== 0) return "the leaf hash is not that of the canonical bytes";
  if (Buffer.compare(row.chain_hash, computed.chain) !== 0)
    return "the chain hash does not follow from the row before and the leaf hash";
  if (row.kind === "unreadable") return undefined; // says nothing of itself
  const facts = factsOf(row.kind, row.record, row.header_length);
  if (!facts) return `the canonical bytes are not an ${row.kind}`;
  const column = (Object.keys(facts) as (keyof EntryFacts)[]).find((name) => row[name] !== facts[name]);
  return (
    column && `${column} is ${JSON.stringify(row[column])}, the canonical bytes say ${JSON.stringify(facts[column])}`
  );
}
