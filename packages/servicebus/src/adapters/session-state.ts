import { DispositionBatch } from "./dispositions.ts";
import { IncomingTransfers } from "./incoming-transfers.ts";
import { OutgoingTransfers } from "./outgoing-transfers.ts";
import type { Link, Session } from "./rhea.ts";

/** Something that stands behind a link and must be told when the link is gone. */
export interface Endpoint {
  closed(): void;
}

/** Our half of a session: transfers in both directions and what stands behind each link. */
export class SessionState {
  readonly incoming: IncomingTransfers;
  readonly outgoing: OutgoingTransfers;
  readonly confirmations: DispositionBatch;
  #open = true;
  readonly endpoints = new Map<Link, Endpoint>();
  readonly #watches = new Map<Link, () => void>();

  /** Replaces rhea's transfer tracking; must run before the session's first link attaches. */
  constructor(session: Session) {
    this.incoming = new IncomingTransfers(session.remote.begin);
    this.outgoing = new OutgoingTransfers(session, session.remote.begin);
    this.confirmations = new DispositionBatch(session, true);
    session.incoming = this.incoming;
    session.outgoing = this.outgoing;
  }

  get open(): boolean {
    return this.#open;
  }

  flush(): void {
    this.confirmations.flush();
    this.outgoing.flushAnswers();
  }

  /** `stop` ends what watches over a link, when the link is gone. */
  watched(link: Link, stop: () => void): void {
    this.#watches.set(link, stop);
  }

  detached(link: Link): void {
    this.#watches.get(link)?.();
    this.#watches.delete(link);
    this.incoming.detach(link);
    this.endpoints.get(link)?.closed();
    this.endpoints.delete(link);
  }

  closed(): void {
    this.#open = false;
    for (const link of [...this.endpoints.keys(), ...this.#watches.keys()]) this.detached(link);
  }
}
