import { liveSubject, OUTCOMES, outcomesOf, type RequestAddress } from "@millrace/contracts";
import type { Bus } from "./bus.ts";
import { readNext } from "./direct-batch.ts";
import { outcomeIn, type StoredOutcome } from "./outcomes.ts";

/** Outcomes asked for at once. */
const BATCH = 100;
/** Looks at the stream at least this often: a live message may be lost. */
const LOOK_MS = 5_000;
const TROUBLE_MS = 500;
/** A replica that is behind what was announced is asked again after this long, this often. */
const BEHIND_MS = 50;
const BEHIND_LOOKS = 20;

/**
 * The outcomes that match, in stream order, from just after the position `after`. Ends when the signal aborts.
 *
 * What is republished live says when to look, and the stream says what there is, by position: a lost message, a lost
 * connection or a restarted server delays and never skips. Nothing of it stays on the server, where an ordered consumer
 * per reader would, and would have to be found dead (seconds) and made again after each restart.
 */
export async function* followOutcomes(
  bus: Bus,
  of: Partial<RequestAddress>,
  { after, signal }: { after: number; signal: AbortSignal },
): AsyncGenerator<StoredOutcome> {
  const bell = new Bell();
  let position = after;
  let announced = after;
  const live = bus.nc.subscribe(liveSubject(of), {
    callback: (err, message) => {
      if (err) return bus.log.warn({ err }, "live subscription failed; looking every few seconds");
      announced = Math.max(announced, Number(message.headers?.get("Nats-Sequence") || 0));
      bell.ring();
    },
  });
  const ring = () => bell.ring();
  signal.addEventListener("abort", ring);
  using _reconnected = bus.onReconnect(ring);
  try {
    for (let behind = 0; !signal.aborted; ) {
      try {
        const { messages } = await readNext(bus, OUTCOMES.name, {
          filter: outcomesOf(of),
          from: { after: position },
          batch: BATCH,
        });
        for (const message of messages) {
          if (signal.aborted) return;
          position = message.sequence;
          const outcome = outcomeIn(message);
          if (outcome.ok) yield outcome.value;
          else bus.log.error({ subject: message.subject, problem: outcome.problem }, "not an outcome");
        }
        if (messages.length > 0) behind = 0;
        else if (announced > position && behind++ < BEHIND_LOOKS) await bell.wait(BEHIND_MS);
        else {
          // Announced and not there after a second: it was removed again.
          announced = position;
          behind = 0;
          await bell.wait(LOOK_MS);
        }
      } catch (err) {
        bus.log.warn({ err }, "following outcomes was interrupted; going on");
        await bell.wait(TROUBLE_MS);
      }
    }
  } finally {
    signal.removeEventListener("abort", ring);
    live.unsubscribe();
  }
}

/** Wakes one who waits; rung while nobody does, it is remembered. */
class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Until it is rung, but no longer than this. */
  async wait(ms: number): Promise<void> {
    if (!this.#rung)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    this.#rung = false;
    this.#wake = undefined;
  }
}
