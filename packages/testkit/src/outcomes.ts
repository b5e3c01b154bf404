import {
  decodeOutcome,
  type EncodedBody,
  HEADER_LENGTH,
  OUTCOMES,
  type Outcome,
  outcomesOf,
} from "@millrace/contracts";
import type { Run } from "@millrace/local";
import { connectAsOperator } from "./operator.ts";

/** An outcome as it lies in the stream, at its position. */
export type StoredOutcome = { sequence: number; subject: string; outcome: Outcome; body: EncodedBody };

const PULL = 500;
const SILENCE_MS = 5_000;

/**
 * Reads every stored outcome of a model (or of all), oldest first, as the operator: what the broker holds, whatever
 * any service says of it.
 */
export async function readOutcomes(run: Run, model?: string): Promise<StoredOutcome[]> {
  const connection = await connectAsOperator(run);
  try {
    const filterSubjects = outcomesOf({ tenant: run.tenant, project: run.project, ...(model ? { model } : {}) });
    const { state } = await (await connection.jetstreamManager()).streams.info(OUTCOMES.name, {
      subjects_filter: filterSubjects,
    });
    const expected = Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
    const consumer = await connection.jetstream().consumers.get(OUTCOMES.name, { filterSubjects });
    const stored: StoredOutcome[] = [];
    while (stored.length < expected) {
      const before = stored.length;
      for await (const message of await consumer.fetch({ max_messages: PULL, expires: SILENCE_MS })) {
        const length = message.headers?.get(HEADER_LENGTH);
        const body = { bytes: message.data, ...(length ? { headerLength: Number(length) } : {}) };
        const decoded = decodeOutcome(body);
        if (!decoded.ok) throw new Error(`${message.subject}: ${decoded.problem.detail}`);
        stored.push({ sequence: message.seq, subject: message.subject, outcome: decoded.value, body });
        if (stored.length === expected) break;
      }
      if (stored.length === before) throw new Error(`only ${before} of ${expected} outcomes could be read`);
    }
    return stored;
  } finally {
    await connection.close();
  }
}
