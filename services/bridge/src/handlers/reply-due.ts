import type { OutgoingMessage, SendFailure, SendResult } from "@millrace/azure";
import { done, type OutcomeDelivery, reject, retry, type Verdict } from "@millrace/bus";
import { parseReplyTo, type ReplyTo } from "@millrace/contracts";
import { outcomeReply } from "../domain/reply-message.ts";

export type Surroundings = {
  source: string;
  send(entity: string, messages: readonly OutgoingMessage[]): Promise<SendResult[]>;
  /** Told of each try, for readiness, metrics and logs. */
  onTry(result: { sent: number; failed: number; why?: string }): void;
};

/**
 * Sends the outcomes that answer this source's messages to where those wanted them. Nothing is remembered in between: the
 * address came with the outcome. What has none, or another source's, is only acknowledged.
 */
export const onReplyDue =
  ({ source, send, onTry }: Surroundings) =>
  async (outcomes: readonly OutcomeDelivery[]): Promise<Verdict[]> => {
    const verdicts: Verdict[] = outcomes.map(() => done());
    const due = Map.groupBy(
      outcomes.flatMap((outcome, index) => {
        const to = parseReplyTo(outcome.replyTo);
        return to?.source === source ? [{ outcome, index, to }] : [];
      }),
      ({ to }) => to.entity,
    );
    await Promise.all([...due].map(([entity, all]) => sendTo(entity, all)));
    return verdicts;

    async function sendTo(entity: string, all: readonly { outcome: OutcomeDelivery; index: number; to: ReplyTo }[]) {
      const results = await send(
        entity,
        all.map(({ outcome, to }) => outcomeReply(outcome, to)),
      );
      let sent = 0;
      let failure: SendFailure | undefined;
      for (const [position, { index }] of all.entries()) {
        const result = results[position]!;
        if (result.ok) sent++;
        else {
          // What stands behind a failure was not tried, and shares its fate.
          if (result.kind !== "behind" || !failure) failure = result;
          verdicts[index] = verdictOf(failure);
        }
      }
      const why = failure && `${entity}: ${failure.why}`;
      onTry({ sent, failed: all.length - sent, ...(why === undefined ? {} : { why }) });
    }
  };

/**
 * The entity was chosen by who asked: that it is gone, full or closed to us is a receiver's failure, tried again for a
 * quarter of an hour beside the others and then put on record. Trouble of the link is ours, and waited out.
 */
function verdictOf({ kind, why }: SendFailure): Verdict {
  switch (kind) {
    case "too-large":
    case "refused":
      return reject("delivery-refused", why);
    case "not-found":
    case "unauthorized":
    case "disabled":
    case "full":
      return retry("delivery", why);
    default:
      return retry("infrastructure", why);
  }
}
