import type { MessageSource, Settlement } from "../domain/message.ts";
import { HeldSession } from "../domain/sessions.ts";
import type { LinkFaults } from "../faults/link-faults.ts";
import { tokenToTag } from "./lock-token.ts";
import type { DeliveryAnswer, DeliveryOwner } from "./outgoing-transfers.ts";
import { LOCK_LOST } from "./refusals.ts";
import { type FlowFields, frames, type Link, type Outcome } from "./rhea.ts";
import { amendWith, encodeDelivery } from "./sections.ts";
import type { Endpoint, SessionState } from "./session-state.ts";
import type { WorkCycle } from "./work-cycle.ts";

/** What one link may be given in one turn, and how much may wait in its socket: enough to keep a link busy. */
const MESSAGES_PER_TURN = 256;
const SOCKET_BYTES = 2 << 20;

/** A client's receiver on a queue, a subscription, a dead-letter queue or a session of one. */
export class ConsumerLink implements DeliveryOwner, Endpoint {
  readonly source: MessageSource;
  readonly #link: Link;
  readonly #session: SessionState;
  readonly #cycle: WorkCycle;
  readonly #removes: boolean;
  readonly #onClosed: () => void;
  readonly #onLost: () => void;
  readonly #onBusy: () => void;
  readonly #faults: LinkFaults;
  readonly #tokens = new Map<number, string>();
  #reserved = 0;
  #draining = false;
  #open = true;

  constructor(options: {
    link: Link;
    session: SessionState;
    source: MessageSource;
    cycle: WorkCycle;
    onClosed: () => void;
    onLost: () => void;
    /** A fault: it is to be refused, as if the service were busy. */
    onBusy: () => void;
    faults: LinkFaults;
  }) {
    this.#link = options.link;
    this.#session = options.session;
    this.source = options.source;
    this.#cycle = options.cycle;
    this.#onClosed = options.onClosed;
    this.#onLost = options.onLost;
    this.#onBusy = options.onBusy;
    this.#faults = options.faults;
    this.#removes = options.link.snd_settle_mode === 1; // "settled": receive and delete
    this.#link.on_flow = ({ performative }) => this.#onFlow(performative);
    this.source.use();
  }

  /** Takes the next message if this link has credit and room for it; answers how to transmit it. */
  take(): (() => void) | undefined {
    if (!this.#hasRoom()) return undefined;
    if (this.#faults.isBusy("receive")) {
      this.#onBusy();
      return undefined;
    }
    if (this.#removes) {
      const removed = this.source.removeNext();
      if (!removed) return undefined;
      this.#reserved++;
      return this.#passing(() => this.#transmit(() => ({ tag: Buffer.alloc(0), content: encodeDelivery(removed) })));
    }
    const lock = this.source.lockNext();
    if (!lock) return undefined;
    this.#reserved++;
    return this.#passing(() =>
      this.#transmit(
        () => ({ tag: tokenToTag(lock.token), content: encodeDelivery(lock.message, lock), owner: this }),
        lock.token,
      ),
    );
  }

  /** True when the turn's share was used up and more could be taken in the next one. */
  get wantsMore(): boolean {
    return this.#reserved >= MESSAGES_PER_TURN;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Gives back unused credit, as the receiver asked; it waits for the answer even when no credit was left. */
  finishDrain(): void {
    if (!this.#draining || !this.#open) return;
    this.#draining = false;
    this.#link.delivery_count = (this.#link.delivery_count + Math.max(0, this.#link.credit)) >>> 0;
    this.#link.credit = 0;
    const { incoming, outgoing } = this.#session;
    this.#link.session.output(
      frames.flow({
        next_incoming_id: incoming.next_transfer_id >>> 0,
        incoming_window: incoming.window,
        next_outgoing_id: outgoing.next_transfer_id,
        outgoing_window: outgoing.window,
        handle: this.#link.local.handle,
        delivery_count: this.#link.delivery_count,
        link_credit: 0,
        drain: true,
      }),
    );
  }

  decided(deliveryId: number, outcome: Outcome | undefined, answer: DeliveryAnswer): void {
    const lost = this.#faults.losesDisposition();
    if (lost === "both") {
      answer.none();
      return;
    }
    if (this.#faults.losesLock()) this.#loseLock(deliveryId);
    const token = this.#tokens.get(deliveryId);
    this.#tokens.delete(deliveryId);
    const held = token !== undefined && this.source.settle(token, settlementOf(outcome));
    this.#cycle.afterCommit(() => this.#faults.pass("disposition", () => this.#answer(answer, held, lost)));
  }

  #answer(answer: DeliveryAnswer, held: boolean, lost: "answer" | undefined): void {
    if (!this.#open) return;
    if (lost) answer.none();
    else if (held) answer.same();
    else answer.refuse("com.microsoft:message-lock-lost", LOCK_LOST);
  }

  /** As if the time of the message's lock, or of the session's, had run out just now. */
  #loseLock(deliveryId: number): void {
    const token = this.#tokens.get(deliveryId);
    if (this.source instanceof HeldSession) this.source.expireNow();
    else if (token !== undefined) this.source.settle(token, { kind: "abandon" });
  }

  /** The source is no longer this receiver's. */
  lose(): void {
    this.#onLost();
  }

  closed(): void {
    this.#open = false;
    this.#session.outgoing.abandon(this);
    this.source.use();
    this.source.release();
    this.#onClosed();
  }

  #passing(transmit: () => void): () => void {
    return () => this.#faults.pass("transfer", transmit);
  }

  #hasRoom(): boolean {
    return (
      this.#open &&
      this.#reserved < Math.min(this.#link.credit, MESSAGES_PER_TURN) &&
      this.#session.outgoing.open &&
      this.#link.connection.socket.writableLength < SOCKET_BYTES
    );
  }

  #transmit(encode: () => { tag: Buffer; content: Buffer; owner?: DeliveryOwner }, token?: string): void {
    this.#reserved--;
    if (!this.#open) return;
    const deliveryId = this.#session.outgoing.send(this.#link, encode());
    if (token !== undefined) this.#tokens.set(deliveryId, token);
    this.#faults.transferred();
  }

  #onFlow(flow: FlowFields): void {
    const credit = ((flow.delivery_count ?? 0) + (flow.link_credit ?? 0) - this.#link.delivery_count) | 0;
    this.#link.credit = Math.max(0, credit);
    this.#draining = flow.drain ?? false;
    this.#cycle.request();
  }
}

function settlementOf(outcome: Outcome | undefined): Settlement {
  switch (outcome?.constructor.composite_type) {
    case "rejected": {
      const { DeadLetterReason, DeadLetterErrorDescription, ...changes } = outcome.error?.info ?? {};
      return {
        kind: "dead-letter",
        ...textField("reason", DeadLetterReason),
        ...textField("description", DeadLetterErrorDescription),
        ...amendment(changes),
      };
    }
    case "modified": {
      const changes = amendment(outcome.message_annotations ?? {});
      return { kind: outcome.undeliverable_here ? "defer" : "abandon", ...changes };
    }
    case "released":
      return { kind: "release" };
    default:
      return { kind: "complete" };
  }
}

const textField = (name: "reason" | "description", value: unknown) => (value == null ? {} : { [name]: String(value) });

const amendment = (changes: Readonly<Record<string, unknown>>) =>
  Object.keys(changes).length > 0 ? { amend: amendWith(changes) } : {};
