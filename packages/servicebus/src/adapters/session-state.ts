import { DispositionBatch } from "./dispositions.ts";
import { IncomingTransfers } from "./incoming-transfers.ts";
import { OutgoingTransfers } from "./outgoing-transfers.ts";
import { refuse } from "./refusals.ts";
import type { AmqpError, Link, Session } from "./rhea.ts";

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
  readonly #admitted = new Map<Link, { readonly path: string; readonly release: () => void }>();

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

  /** A link may attach to `path`; `release` is called when it is gone. */
  admit(link: Link, path: string, release: () => void): void {
    this.#admitted.set(link, { path, release });
  }

  /** Links and what they are attached to; `$cbs` does not count. */
  get links(): { link: Link; path: string }[] {
    return [...this.#admitted].map(([link, { path }]) => ({ link, path }));
  }

  /** Ends a link from our side. */
  detach(link: Link, error: AmqpError): void {
    this.detached(link);
    refuse(link, error);
  }

  /** A link is gone, or is to be treated so. */
  detached(link: Link): void {
    this.#admitted.get(link)?.release();
    this.#admitted.delete(link);
    this.incoming.detach(link);
    this.endpoints.get(link)?.closed();
    this.endpoints.delete(link);
  }

  closed(): void {
    this.#open = false;
    for (const link of [...this.endpoints.keys(), ...this.#admitted.keys()]) this.detached(link);
  }
}
