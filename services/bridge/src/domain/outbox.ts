import type { OutgoingMessage, SendResult } from "@millrace/azure";
import { Breaker, type BreakerState } from "./breaker.ts";
import type { Throttle } from "./throttle.ts";
import { type BlockedReason, type HeldKind, REFUSALS_MAX } from "./trouble.ts";

/** What the outbox needs of Service Bus: see `Sender` of packages/azure. */
export type Link = { sendAll(messages: readonly OutgoingMessage[]): Promise<SendResult[]> };

/** What became of a message. */
export type Sent =
  | { kind: "sent" }
  /** The entity will never take it. */
  | { kind: "refused"; why: string }
  /** The outbox was stopped before it was taken. */
  | { kind: "stopped"; why: string };

/** What there is to say after each send, for readiness, metrics and logs. */
export type OutboxReport = {
  sent: number;
  held: number;
  state: BreakerState;
  why: string | undefined;
  blocked: BlockedReason | undefined;
};

export type OutboxOptions = {
  link: Link;
  /** Of the namespace, shared with other outboxes. */
  throttle: Throttle;
  messages_max: number;
  sends_max: number;
  /** A smaller stand-in for a message that is too large. It may throw, and is then asked again. */
  claim?: (message: OutgoingMessage) => Promise<OutgoingMessage>;
  /** Milliseconds, monotonic. */
  now: () => number;
  /** Waits, or returns early when the signal aborts. */
  wait: (ms: number, signal: AbortSignal) => Promise<void>;
  onReport: (report: OutboxReport) => void;
};

type Item = {
  message: OutgoingMessage;
  order: number;
  refusals: number;
  claimed: boolean;
  settle: (sent: Sent) => void;
};

/** Bodies of one send: about what one transfer carries; more of them would only keep their sessions waiting. */
const SEND_BYTES_MAX = 1024 * 1024;

/**
 * Messages on their way to one entity. They leave in the order in which they came, several sends at once, and those of
 * one session never in two sends at once: whatever fails goes back to its place before anything of its session is sent
 * again, so nothing of a session overtakes, and no session waits for another. Bounded by who fills it: a consumer hands
 * over so many batches at once, and waits.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #breaker = new Breaker();
  readonly #stopping = new AbortController();
  readonly #busy = new Set<string>();
  #waiting: Item[] = [];
  #orders = 0;
  #underWay = 0;
  #alarm = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Resolves when each message has been taken, or never will be, or the outbox was stopped. Answers in order. */
  send(messages: readonly OutgoingMessage[]): Promise<Sent[]> {
    if (messages.length === 0) return Promise.resolve([]);
    const { promise, resolve } = Promise.withResolvers<Sent[]>();
    const answers = new Array<Sent>(messages.length);
    let open = messages.length;
    for (const [index, message] of messages.entries())
      this.#waiting.push({
        message,
        order: this.#orders++,
        refusals: 0,
        claimed: false,
        settle(sent) {
          answers[index] = sent;
          if (--open === 0) resolve(answers);
        },
      });
    this.#pump();
    return promise;
  }

  /** Sends under way end by themselves; what waits is given back. */
  stop(): void {
    this.#stopping.abort();
    this.#pump();
  }

  #pump(): void {
    const { sends_max, throttle, now } = this.#options;
    if (this.#stopping.signal.aborted) this.#giveBack();
    while (this.#underWay < sends_max && this.#waiting.length > 0) {
      const probed_ms = this.#breaker.wait_ms(now());
      if (probed_ms === undefined) return;
      const wait_ms = Math.max(
        probed_ms,
        throttle.wait_ms(Math.min(this.#waiting.length, this.#options.messages_max), now()),
      );
      if (wait_ms > 0) {
        this.#pumpIn(wait_ms);
        return;
      }
      const batch = this.#take();
      if (batch.length === 0) return;
      throttle.sent(batch.length, now());
      this.#breaker.begin();
      void this.#ship(batch);
    }
  }

  #pumpIn(ms: number): void {
    if (this.#alarm) return;
    this.#alarm = true;
    void this.#options.wait(ms, this.#stopping.signal).then(() => {
      this.#alarm = false;
      this.#pump();
    });
  }

  /** The next send: the first ones whose session is not in another. */
  #take(): Item[] {
    const { messages_max } = this.#options;
    const batch: Item[] = [];
    const passed: Item[] = [];
    let bytes = 0;
    let index = 0;
    for (; index < this.#waiting.length && batch.length < messages_max; index++) {
      const item = this.#waiting[index]!;
      const { sessionId, body } = item.message;
      if (sessionId !== undefined && this.#busy.has(sessionId)) {
        passed.push(item);
        continue;
      }
      if (batch.length > 0 && bytes + body.byteLength > SEND_BYTES_MAX) break;
      bytes += body.byteLength;
      batch.push(item);
    }
    this.#waiting.splice(0, index, ...passed);
    return batch;
  }

  #putBack(items: Item[]): void {
    if (items.length === 0) return;
    this.#waiting = [...items, ...this.#waiting].sort((a, b) => a.order - b.order);
  }

  async #ship(batch: readonly Item[]): Promise<void> {
    const { link, throttle, now, onReport } = this.#options;
    this.#underWay++;
    const sessions = new Set(batch.flatMap(({ message }) => message.sessionId ?? []));
    for (const session of sessions) this.#busy.add(session);
    const results = await link.sendAll(batch.map(({ message }) => message));
    const again: Item[] = [];
    let sent = 0;
    let failure: { kind: HeldKind; why: string } | undefined;
    for (const [index, item] of batch.entries()) {
      const result = results[index]!;
      if (result.ok) {
        sent++;
        item.settle({ kind: "sent" });
        continue;
      }
      const { kind, why } = result;
      if (kind === "too-large" || kind === "refused") {
        const trouble = await this.#notTaken(item, kind, why);
        if (trouble === "settled") continue;
        if (trouble !== "again") failure ??= trouble;
      } else if (kind !== "behind") failure ??= { kind, why };
      again.push(item);
    }
    if (failure?.kind === "busy") throttle.busy(now());
    if (failure) this.#breaker.failed(failure.kind, failure.why, now());
    else this.#breaker.worked();
    for (const session of sessions) this.#busy.delete(session);
    this.#underWay--;
    this.#putBack(again);
    const { state, why, blocked } = this.#breaker;
    onReport({ sent, held: again.length, state, why, blocked });
    this.#pump();
  }

  /** A message that the entity does not take: it goes again as a claim check, or in case the entity is being changed; or not. */
  async #notTaken(
    item: Item,
    kind: "too-large" | "refused",
    why: string,
  ): Promise<"settled" | "again" | { kind: HeldKind; why: string }> {
    if (kind === "too-large" && !item.claimed) {
      try {
        const smaller = await this.#options.claim?.(item.message);
        if (smaller) {
          item.message = smaller;
          item.claimed = true;
          return "again";
        }
      } catch (cause) {
        return { kind: "transient", why: `the claim check cannot be stored: ${(cause as Error).message}` };
      }
    }
    if (kind === "refused" && ++item.refusals < REFUSALS_MAX) return "again";
    item.settle({ kind: "refused", why });
    return "settled";
  }

  #giveBack(): void {
    const items = this.#waiting;
    this.#waiting = [];
    for (const { settle } of items) settle({ kind: "stopped", why: this.#breaker.why ?? "stopping" });
  }
}
