import { ask, type Bus, readAt, type StreamState } from "@millrace/bus";
import {
  AUDIT_POSITIONS_SUBJECT,
  AUDIT_QUERY_SUBJECT,
  type AuditAnswer,
  EVENTS,
  type Finding,
  type LedgerPositions,
  OUTCOMES,
} from "@millrace/contracts";
import { countOf, type Run, type Runs, without, written } from "../domain/runs.ts";

const PAGES_MAX = 100_000;
const ASK_MS = 15_000;
/** Rows that seem to be missing are looked for one by one, so many per stream. */
const LOOKS_MAX = 200;

/** Compares the ledger with the streams that it is made of: each message that it has come past is a row of it. */
export async function ledgerFindings(
  bus: Bus,
  states: readonly StreamState[],
  present: ReadonlyMap<string, Runs>,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const state of states.filter(({ name }) => name === OUTCOMES.name || name === EVENTS.name)) {
    try {
      findings.push(...(await compare(bus, state, present.get(state.name)?.list ?? [])));
    } catch (cause) {
      const detail = `the audit service does not say which rows the ledger has (${(cause as Error).message})`;
      findings.push({ kind: "ledger-differs", name: state.name, detail });
    }
  }
  return findings;
}

async function compare(bus: Bus, state: StreamState, present: readonly Run[]): Promise<Finding[]> {
  const { position, runs } = await positions(bus, state.name);
  if (!position) return []; // it has not begun; its consumer shows what waits
  const { name } = state;
  if (position.created !== state.created)
    return [
      { kind: "ledger-differs", name, detail: `the ledger was made of a stream of ${position.created}, not this one` },
    ];
  const through = Math.min(position.sequence, state.last_sequence);
  const judged = present.flatMap(([first, last]): Run[] => (first > through ? [] : [[first, Math.min(last, through)]]));
  const missing = without(judged, runs);
  const findings: Finding[] = [];
  let looks = 0;
  for (const [first, last] of missing)
    for (let sequence = first; sequence <= last && looks < LOOKS_MAX; sequence++, looks++)
      if (await isMissing(bus, name, sequence))
        findings.push({
          kind: "ledger-differs",
          name: `${name} ${sequence}`,
          detail: `the ledger has come to ${position.sequence} and has no row of ${sequence}`,
        });
  if (findings.length > 0 && countOf(missing) > looks)
    findings.push({
      kind: "ledger-differs",
      name: `${name} ${missing.map(written).join(", ").slice(0, 200)}`,
      detail: `${countOf(missing)} rows are missing in all`,
    });
  const ahead = runs.at(-1)?.[1] ?? 0;
  if (ahead > (await bus.jsm.streams.info(name)).state.last_seq)
    findings.push({
      kind: "ledger-differs",
      name: `${name} ${ahead}`,
      detail: `the ledger has a row of ${ahead}, and the stream ends before it: the stream has lost its tail`,
    });
  return findings;
}

/** All positions that the ledger has rows of, ascending. */
async function positions(bus: Bus, stream: string): Promise<{ position: LedgerPositions["position"]; runs: Run[] }> {
  const runs: Run[] = [];
  let after = 0;
  for (let page = 0; page < PAGES_MAX; page++) {
    const answer = await ask<LedgerPositions>(bus, AUDIT_POSITIONS_SUBJECT, { stream, after }, ASK_MS);
    runs.push(...answer.runs);
    // A row may be behind a later one when a stream was read again; ascending is what is compared.
    if (answer.next === undefined) return { position: answer.position, runs: runs.sort((a, b) => a[0] - b[0]) };
    after = answer.next;
  }
  throw new Error(`more than ${PAGES_MAX} pages`);
}

/** Whether the ledger lacks a message, rather than having it from another position: an id has one row. */
async function isMissing(bus: Bus, stream: string, sequence: number): Promise<boolean> {
  const message = await readAt(bus, stream, sequence);
  const id = message?.header("ce-id");
  if (!message || id === undefined) return message !== undefined;
  const answer = await ask<AuditAnswer>(bus, AUDIT_QUERY_SUBJECT, { id, limit: 100 }, ASK_MS);
  return "problem" in answer || !answer.entries.some(({ subject }) => subject === message.subject);
}
