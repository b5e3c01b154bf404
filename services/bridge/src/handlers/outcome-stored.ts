import type { OutgoingMessage } from "@millrace/azure";
import { done, type OutcomeDelivery, reject, retry, type Verdict } from "@millrace/bus";
import type { Result, Route } from "@millrace/contracts";
import { messagesOf } from "../domain/message.ts";
import type { Outbox, Sent } from "../domain/outbox.ts";

/**
 * Sends outcomes to the route's entity and acknowledges each only when Service Bus has taken every message of it. An
 * outcome that the route is not for is acknowledged without effect; one with a message that can never be taken becomes a
 * `delivery.failed` event; everything else that fails is held by the outbox and tried again.
 */
export const onOutcomeStored = ({ route, outbox }: { route: Route; outbox: Pick<Outbox, "send"> }) => {
  const toMessages = messagesOf(route);
  const send = async (made: readonly Result<OutgoingMessage[]>[]): Promise<Verdict[]> => {
    const sent = await outbox.send(made.flatMap((result) => (result.ok ? result.value : [])));
    let next = 0;
    return made.map((result): Verdict => {
      if (!result.ok) return { kind: "reject", problem: result.problem };
      const first = next;
      next += result.value.length;
      return verdictOf(sent.slice(first, next));
    });
  };
  return async (outcomes: readonly OutcomeDelivery[]): Promise<Verdict[]> => {
    const verdicts: Verdict[] = [];
    let made: Result<OutgoingMessage[]>[] = [];
    let messages = 0;
    for (const outcome of outcomes) {
      const result = isFor(route, outcome) ? toMessages(outcome) : NONE;
      made.push(result);
      messages += result.ok ? result.value.length : 0;
      if (messages < MESSAGES_MAX) continue;
      verdicts.push(...(await send(made)));
      made = [];
      messages = 0;
    }
    verdicts.push(...(await send(made)));
    return verdicts;
  };
};

/** Made at once, about, before they are sent: an outcome has up to 512 rows, and each may be a message. */
const MESSAGES_MAX = 2_048;

const NONE: Result<OutgoingMessage[]> = { ok: true, value: [] };

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
