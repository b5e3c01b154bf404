import type { OutgoingMessage, SendResult } from "@millrace/azure";
import { done, type OutcomeDelivery, reject, retry, type Verdict } from "@millrace/bus";
import { holdDelay } from "../domain/hold.ts";
import { toMessage } from "../domain/message.ts";

/** What the handler needs of Service Bus. */
export type Link = { sendAll(messages: readonly OutgoingMessage[]): Promise<SendResult[]> };

export type Surroundings = {
  route: string;
  link: Link;
  /** Aborted when the service stops; what is held then goes back to the stream. */
  signal: AbortSignal;
  /** Waits, or returns early when the signal aborts. */
  wait: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Told of each try, for readiness, metrics and logs. */
  onTry: (result: { sent: number; held: number; why?: string }) => void;
};

/**
 * Sends outcomes to the route's entity and acknowledges each only when Service Bus has taken it. A message that can
 * never be taken becomes a `delivery.failed` event; everything else that fails is held and tried again.
 */
export const onOutcomeStored =
  ({ route, link, signal, wait, onTry }: Surroundings) =>
  async (outcomes: readonly OutcomeDelivery[]): Promise<Verdict[]> => {
    const verdicts: (Verdict | undefined)[] = outcomes.map(() => undefined);
    for (let attempt = 1; ; attempt++) {
      const open = [...verdicts.keys()].filter((index) => verdicts[index] === undefined);
      const results = await link.sendAll(open.map((index) => toMessage(outcomes[index]!, route)));
      let why: string | undefined;
      for (const [position, index] of open.entries()) {
        const result = results[position]!;
        if (result.ok) verdicts[index] = done();
        else if (result.kind === "too-large") verdicts[index] = reject("delivery-refused", result.why);
        else why = `${result.kind}: ${result.why}`;
      }
      const held = verdicts.filter((verdict) => verdict === undefined).length;
      onTry({ sent: open.length - held, held, ...(why === undefined ? {} : { why }) });
      if (held === 0) return verdicts as Verdict[];
      if (!signal.aborted) await wait(holdDelay(attempt), signal);
      if (signal.aborted) return verdicts.map((verdict) => verdict ?? retry("infrastructure", why ?? "stopping"));
    }
  };
