import {
  type DeadLetterDecision,
  type DecisionResult,
  digestOf,
  ok,
  problem,
  type RedriveDecision,
  type RequestAddress,
  type Result,
} from "@millrace/contracts";
import type { DeadLetters, Models, StoredDeadLetter } from "../ports.ts";
import { fitToModel } from "../submission.ts";
import {
  type Decider,
  decidedBefore,
  discardDecision,
  isSameDecision,
  type RedriveWish,
  redriveDecision,
} from "./decisions.ts";

/** Deciding about one dead letter. Each call may be made again: it completes what an interrupted one began. */

export type DecideDeps = { deadLetters: DeadLetters; models: Models };

type Order = {
  /** Meant is the dead letter at this position: with it, the same order again is never about a later one. */
  sequence?: number;
  /** Say what would happen and change nothing. */
  dry_run?: boolean;
};
export type RedriveOrder = Order & RedriveWish & Decider;
export type DiscardOrder = Order & Decider & { reason: string };

/**
 * Redrives one dead letter: stores the decision, then the new request.
 * @throws what the broker throws when it does not confirm; the same call again goes on from there
 */
export async function redriveOne(
  deps: DecideDeps,
  of: RequestAddress,
  order: RedriveOrder,
): Promise<Result<DecisionResult>> {
  const found = await find(deps, of, order.sequence);
  if (!found.ok) return found;
  const deadLetter = found.value;
  const decided = await (deadLetter.decision
    ? decidedAlready(deps, deadLetter, deadLetter.decision, order)
    : decideAnew(deps, deadLetter, order));
  if (!decided.ok) return decided;

  const { stands, repeated, digest } = decided.value;
  if (
    stands.decision !== "redriven" ||
    !isSameDecision(stands, { decision: "redriven", digest, ...prioritized(order) })
  )
    return decidedBefore(stands);
  return await complete(deps, deadLetter, stands, { ...order, repeated });
}

/**
 * Completes the redrive of a dead letter that was interrupted behind its decision, whatever payload it decided for.
 * @throws what the broker throws when it does not confirm
 */
export const resumeRedrive = (
  deps: Pick<DecideDeps, "deadLetters">,
  deadLetter: StoredDeadLetter,
  decision: RedriveDecision,
  { dry_run = false }: Pick<Order, "dry_run">,
): Promise<Result<DecisionResult>> => complete(deps, deadLetter, decision, { dry_run, repeated: true });

async function complete(
  { deadLetters }: Pick<DecideDeps, "deadLetters">,
  deadLetter: StoredDeadLetter,
  decision: RedriveDecision,
  { dry_run, repeated }: Pick<Order, "dry_run"> & { repeated: boolean },
): Promise<Result<DecisionResult>> {
  if (dry_run) return ok({ ...factsOf(deadLetter), result: "would-redrive", ...said(repeated) });
  const redriven = await deadLetters.redrive(decision);
  if (!redriven.ok) return redriven;
  const { request_sequence } = redriven.value;
  return ok({
    ...factsOf(deadLetter),
    result: "redriven",
    ...said(repeated),
    ...(request_sequence === undefined ? {} : { request_sequence }),
  });
}

/**
 * Discards one dead letter.
 * @throws what the broker throws when it does not confirm; the same call again is the same decision
 */
export async function discardOne(
  deps: Pick<DecideDeps, "deadLetters">,
  of: RequestAddress,
  order: DiscardOrder,
): Promise<Result<DecisionResult>> {
  const found = await find(deps, of, order.sequence);
  if (!found.ok) return found;
  const deadLetter = found.value;
  const decision = discardDecision(deadLetter, order);
  const { stands, repeated } = deadLetter.decision
    ? { stands: deadLetter.decision, repeated: true }
    : order.dry_run
      ? { stands: decision, repeated: false }
      : await deps.deadLetters.decide(deadLetter, decision);
  if (!isSameDecision(stands, { decision: "discarded" })) return decidedBefore(stands);
  return ok({ ...factsOf(deadLetter), result: order.dry_run ? "would-discard" : "discarded", ...said(repeated) });
}

/** The decision that stands after asking for one, and the digest of the payload that was asked for. */
type Decided = { stands: DeadLetterDecision; repeated: boolean; digest: string };

async function decideAnew(
  { deadLetters, models }: DecideDeps,
  deadLetter: StoredDeadLetter,
  order: RedriveOrder,
): Promise<Result<Decided>> {
  const model = models.get(deadLetter.address.model);
  if (!model) return problem("unknown-model", `no model named "${deadLetter.address.model}" is deployed`);
  const decision = redriveDecision(deadLetter, await deadLetters.basis(deadLetter), model, order);
  if (!decision.ok) return decision;
  const { digest } = decision.value;
  if (order.dry_run) return ok({ stands: decision.value, repeated: false, digest });
  return ok({ ...(await deadLetters.decide(deadLetter, decision.value)), digest });
}

/** A decision is repeated by whoever names the same payload; the original one is named by giving none. */
async function decidedAlready(
  { models }: DecideDeps,
  { address, record }: StoredDeadLetter,
  stands: DeadLetterDecision,
  { payload }: RedriveOrder,
): Promise<Result<Decided>> {
  if (!payload) return ok({ stands, repeated: true, digest: record.request.digest });
  const model = models.get(address.model);
  const fitting = model && fitToModel(payload, model);
  if (fitting?.ok) return ok({ stands, repeated: true, digest: digestOf(fitting.value.stored.bytes) });
  return decidedBefore(stands);
}

async function find(
  { deadLetters }: Pick<DecideDeps, "deadLetters">,
  of: RequestAddress,
  sequence: number | undefined,
): Promise<Result<StoredDeadLetter>> {
  const last = await deadLetters.find(of);
  if (last && (sequence === undefined || sequence === last.sequence)) return ok(last);
  // The one that was meant may have been decided about, and ended: the same order again is told so.
  const meant = sequence === undefined ? undefined : await deadLetters.findAt(of, sequence);
  if (meant?.decision) return ok(meant);
  if (!last) return problem("unknown-dead-letter", `the last outcome of ${of.id}, if it has one, is no dead letter`);
  return problem("dead-letter-replaced", `the dead letter of ${of.id} is at ${last.sequence}, not at ${sequence}`);
}

const factsOf = ({ address, sequence, record }: StoredDeadLetter) => ({
  id: address.id,
  model: address.model,
  attempt: record.attempt,
  dead_letter_sequence: sequence,
});

const said = (repeated: boolean) => (repeated ? { repeated } : {});
const prioritized = ({ priority }: RedriveOrder) => (priority === undefined ? {} : { priority });
