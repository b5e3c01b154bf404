import { done, type OutcomeDelivery, reject, retry, type Verdict } from "@millrace/bus";
import type { Route } from "@millrace/contracts";
import { messagesOf } from "../domain/message.ts";
import type { Outbox, Sent } from "../domain/outbox.ts";

/**
 * Sends outcomes to the route's entity and acknowledges each only when Service Bus has taken every message of it. An
 * outcome that the route is not for is acknowledged without effect; one with a message that can never be taken becomes a
 * `delivery.failed` event; everything else that fails is held by the outbox and tried again.
 */
export const onOutcomeStored = ({ route, outbox }: { route: Route; outbox: Pick<Outbox, "send"> }) => {
  const toMessages = messagesOf(route);
  return async (outcomes: readonly OutcomeDelivery[]): Promise<Verdict[]> => {
    const made = outcomes.map((outcome) => (isFor(route, outcome) ? toMessages(outcome) : NONE));
    const sent = await outbox.send(made.flatMap((result) => (result.ok ? result.value : [])));
    let next = 0;
    return made.map((result): Verdict => {
      if (!result.ok) return { kind: "reject", problem: result.problem };
      const first = next;
      next += result.value.length;
      return verdictOf(sent.slice(first, next));
    });
  };
};

const NONE = { ok: true, value: [] } as const;

/** What a consumer was given before its route was changed comes once more. */
const isFor = ({ tenant, project, model, state }: Route, { address }: OutcomeDelivery): boolean =>
  (tenant ?? address.tenant) === address.tenant &&
  (project ?? address.project) === address.project &&
  (model ?? address.model) === address.model &&
  (state ?? address.state) === address.state;

/** While one is not settled nothing is said of the others: they come again under the same ids. */
function verdictOf(sent: readonly Sent[]): Verdict {
  const stopped = sent.find(({ kind }) => kind === "stopped");
  if (stopped?.kind === "stopped") return retry("infrastructure", stopped.why);
  const refused = sent.filter((it) => it.kind === "refused");
  if (refused.length === 0) return done();
  const of = sent.length > 1 ? `${refused.length} of ${sent.length} messages: ` : "";
  return reject("delivery-refused", `${of}${refused[0]!.why}`);
}
