import { verifyLedger } from "./verify.ts";

/** `node src/verify-main.ts FILE [ENTRIES CHAIN_HASH]`: prints the result as JSON; exit code 1 when the ledger is wrong. */
const [file, entries, chain_hash] = process.argv.slice(2);
if (!file || (entries !== undefined && !(Number.isInteger(Number(entries)) && chain_hash))) {
  process.stderr.write("usage: node src/verify-main.ts FILE [ENTRIES CHAIN_HASH]   (a head noted earlier)\n");
  process.exit(2);
}
const result = verifyLedger(file, chain_hash ? { entries: Number(entries), chain_hash } : undefined);
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exitCode = result.ok ? 0 : 1;
