import type { DecisionResult, DecisionResults, Problem, Result } from "@millrace/contracts";
import type { DeadLetterQuery, DeadLetters, StoredDeadLetter } from "../ports.ts";

/** Deciding about many dead letters, oldest first. */

/** Decisions under way at once. Their messages gather into batches, so that an fsync is paid for many. */
const CONCURRENCY = 16;
/** Pages looked at for one call: bounds a call whose filter matches little. `next` says where to go on. */
const PAGES_MAX = 10;

/** Which: those that match and wait for such a decision, behind the position `after`. */
export type Which = { query: DeadLetterQuery; after: number; limit: number; select: "open" | "redrivable" };

/**
 * Decides about each of them by itself: one that cannot be is reported and the others go on. When the broker fails, the
 * decisions under way are waited for and the failure is thrown; the same call again takes up what is left.
 */
export async function decideMany(
  deadLetters: Pick<DeadLetters, "list">,
  { query, after, limit, select }: Which,
  decide: (deadLetter: StoredDeadLetter) => Promise<Result<DecisionResult>>,
): Promise<DecisionResults> {
  const results: DecisionResult[] = [];
  let next: number | undefined = after;
  for (let page = 0; page < PAGES_MAX && next !== undefined && results.length < limit; page++) {
    const listed = await deadLetters.list(query, { select, after: next, limit: limit - results.length });
    results.push(...(await mapBounded(listed.found, async (it) => resultOf(it, await decide(it)))));
    next = listed.next;
  }
  return { matched: results.length, results, more: next !== undefined, ...(next === undefined ? {} : { next }) };
}

const resultOf = (deadLetter: StoredDeadLetter, result: Result<DecisionResult>): DecisionResult =>
  result.ok ? result.value : refused(deadLetter, result.problem);

const refused = ({ address, sequence, record }: StoredDeadLetter, { code, detail }: Problem): DecisionResult => ({
  id: address.id,
  model: address.model,
  attempt: record.attempt,
  dead_letter_sequence: sequence,
  result: "refused",
  problem: { code, detail },
});

/** In the order of the items. After a failure nothing new begins, and what has begun is waited for. */
async function mapBounded<Item, Value>(items: readonly Item[], work: (item: Item) => Promise<Value>): Promise<Value[]> {
  const values: Value[] = new Array(items.length);
  let at = 0;
  let failed = false;
  const worker = async () => {
    while (at < items.length && !failed) {
      const index = at++;
      try {
        values[index] = await work(items[index]!);
      } catch (cause) {
        failed = true;
        throw cause;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(CONCURRENCY, items.length) }, worker));
  for (const end of ended) if (end.status === "rejected") throw end.reason;
  return values;
}
