import type { FaultOf } from "../faults/fault.ts";
import { concerns, type FaultActions } from "../faults/faults.ts";
import { type Client, linksOf } from "./client.ts";
import { DROPPED } from "./refusals.ts";

/** Does to clients what faults ask for that strike by themselves. */
export class ClientFaults implements FaultActions {
  readonly #clients: () => Iterable<Client>;
  readonly #hold: (held: boolean) => void;
  #partitioned = false;

  constructor(options: {
    clients: () => Iterable<Client>;
    /** Keeps new connections waiting, until it is called again. */
    hold: (held: boolean) => void;
  }) {
    this.#clients = options.clients;
    this.#hold = options.hold;
  }

  drop(fault: FaultOf<"drop-connection" | "drop-link">): boolean {
    let dropped = false;
    for (const client of this.#clients()) {
      const concerned = linksOf(client).filter(({ path }) => concerns(fault, path));
      if (concerned.length === 0 && (fault.kind === "drop-link" || fault.entity !== undefined)) continue;
      dropped = true;
      if (fault.kind === "drop-connection") client.socket.destroy();
      else for (const { state, link } of concerned) state.detach(link, DROPPED);
    }
    return dropped;
  }

  /** What is under way stays where it is, in both directions, as when a cable is pulled and put back. */
  partition(partitioned: boolean): void {
    if (partitioned === this.#partitioned) return;
    this.#partitioned = partitioned;
    this.#hold(partitioned);
    for (const { socket } of this.#clients()) {
      if (partitioned) {
        socket.pause();
        socket.cork();
      } else {
        socket.uncork();
        socket.resume();
      }
    }
  }
}
