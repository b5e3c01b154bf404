import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Journal } from "../domain/journal.ts";
import type { Namespace } from "../domain/namespace.ts";
import type { Faults } from "../faults/faults.ts";
import { Access } from "./access.ts";
import { Attachments } from "./attachments.ts";
import type { Authority } from "./authority.ts";
import { type Client, linksOf } from "./client.ts";
import { ClientFaults } from "./client-faults.ts";
import { breakOff, guardConnection } from "./connection-guard.ts";
import { limitDecoding } from "./decoding-limits.ts";
import { Distribution } from "./distribution.ts";
import { DROPPED } from "./refusals.ts";
import { type Connection, type EventContext, container as rhea } from "./rhea.ts";
import { mechanisms, provedByKey } from "./sasl.ts";
import { SessionAcceptance } from "./session-acceptance.ts";
import { SessionState } from "./session-state.ts";
import { WorkCycle } from "./work-cycle.ts";

const FRAME_BYTES = 65_536;
/** Azure's limits, and what is enough for a client that has yet to put a token. */
const MAX_SESSIONS = 5_000;
const MAX_SESSIONS_UNPROVEN = 16;
const MAX_LINKS = 256;
const UNPROVEN_MS = 60_000;
const UNPROVEN = {
  condition: "amqp:unauthorized-access",
  description: `No valid token was put within ${UNPROVEN_MS / 1000} seconds.`,
};

const tooMany = (what: string) => ({
  condition: "amqp:resource-limit-exceeded",
  description: `There may be at most ${what}.`,
});

const IDLE_MS = 120_000;
const CLOSE_MS = 1_000;
const EXPIRY_SWEEP_MS = 5_000;

/** Where connections come in. */
interface Door {
  enter(socket: Socket): void;
  /** Keeps who comes waiting, until it is called again. */
  hold(held: boolean): void;
  close(): void;
}

/** Speaks AMQP 1.0 for a namespace: accepts connections, hears what happens on them, and drives the turns. */
export class AmqpServer {
  readonly #namespace: Namespace;
  readonly #authority: Authority;
  readonly #now: () => number;
  readonly #cycle: WorkCycle;
  readonly #onFatal: (error: unknown) => void;
  readonly #clients = new Map<Connection, Client>();
  readonly #distribution = new Distribution();
  readonly #acceptance = new SessionAcceptance();
  readonly #attachments: Attachments;
  readonly #container = rhea.create_container({ id: "millrace-servicebus" });
  readonly #server: Server;
  readonly #door: Door;
  #timer: NodeJS.Timeout | undefined;
  #sweepTimer: NodeJS.Timeout | undefined;

  constructor(options: {
    namespace: Namespace;
    authority: Authority;
    journal: Journal;
    now: () => number;
    /** The journal could not be written, or a bug: nothing more can be promised. */
    onFatal: (error: unknown) => void;
    /** Where connections come in; those that speak AMQP it hands to `accept`. */
    door: Door;
    faults: Faults;
  }) {
    this.#namespace = options.namespace;
    this.#authority = options.authority;
    this.#now = options.now;
    this.#onFatal = options.onFatal;
    this.#cycle = new WorkCycle({
      journal: options.journal,
      deliver: () => this.#deliver(),
      onError: (error) => this.#fail(error),
    });
    this.#attachments = new Attachments({
      namespace: options.namespace,
      cycle: this.#cycle,
      distribution: this.#distribution,
      acceptance: this.#acceptance,
      faults: options.faults,
    });
    options.faults.serve(
      new ClientFaults({ clients: () => this.#clients.values(), hold: (held) => options.door.hold(held) }),
    );
    this.#door = options.door;
    this.#server = createServer((socket) => this.#door.enter(socket));
    limitDecoding();
    Object.assign(this.#container.sasl_server_mechanisms, mechanisms(options.authority));
    this.#listenToRhea();
  }

  /** @returns the port it listens on */
  async listen(port: number, host: string): Promise<number> {
    this.#server.listen({ port, host });
    await once(this.#server, "listening");
    this.#sweep(); // what is left of an earlier run
    this.#sweepTimer = setInterval(() => this.#sweep(), EXPIRY_SWEEP_MS).unref();
    return (this.#server.address() as AddressInfo).port;
  }

  /** Tells clients to come back later, then drops whoever has not gone. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    clearInterval(this.#sweepTimer);
    this.#server.close();
    this.#door.close();
    this.#cycle.run();
    for (const [connection, { socket }] of this.#clients) {
      connection.close({ condition: "amqp:connection:forced", description: "The broker is stopping." });
      setTimeout(() => socket.destroy(), CLOSE_MS).unref();
    }
    if (this.#server.listening || this.#clients.size > 0) await once(this.#server, "close");
    this.#cycle.close();
  }

  /** Runs `answer` once everything done so far is durable. */
  afterCommit(answer: () => void): void {
    this.#cycle.afterCommit(answer);
  }

  /** Takes over a connection that speaks AMQP. */
  accept(socket: Duplex): void {
    const connection = this.#container.create_connection({
      max_frame_size: FRAME_BYTES,
      idle_time_out: IDLE_MS,
      receiver_options: { credit_window: 0, autoaccept: false, autosettle: false },
      sender_options: { autosettle: false, treat_modified_as_released: false },
    });
    const exists = (path: string) => (this.#namespace.queue(path) ?? this.#namespace.target(path)) !== undefined;
    const access = new Access({ authority: this.#authority, now: this.#now, exists });
    const client: Client = { access, sessions: new Map(), socket };
    this.#clients.set(connection, client);
    guardConnection(connection, socket, { maxFrameBytes: FRAME_BYTES });
    const late = setTimeout(() => {
      if (!access.granted) breakOff(connection, socket, UNPROVEN);
    }, UNPROVEN_MS).unref();
    socket.on("close", () => clearTimeout(late));
    socket.on("drain", () => this.#cycle.request());
    socket.on("close", () => {
      for (const session of client.sessions.values()) session.closed();
      this.#clients.delete(connection);
    });
    connection.accept(socket);
  }

  /** Detaches every link, so that its client attaches again. */
  dropLinks(): void {
    for (const client of this.#clients.values()) {
      for (const { state, link } of linksOf(client)) state.detach(link, DROPPED);
    }
  }

  #listenToRhea(): void {
    const on = (event: string, handle: (context: EventContext) => void) =>
      this.#container.on(event, (context: EventContext) => {
        try {
          handle(context);
        } catch (error) {
          this.#blame(context.connection, error);
        }
      });
    on("connection_open", ({ connection }) => {
      const grant = provedByKey(connection);
      if (grant) this.#clients.get(connection)?.access.grantByPassword(grant);
    });
    on("session_open", ({ connection, session }) => {
      const client = this.#clients.get(connection);
      if (!client) return;
      client.sessions.set(session, new SessionState(session));
      const most = client.access.granted ? MAX_SESSIONS : MAX_SESSIONS_UNPROVEN;
      if (client.sessions.size > most) breakOff(connection, client.socket, tooMany(`${most} sessions in a connection`));
    });
    on("session_close", ({ connection, session }) => {
      const sessions = this.#clients.get(connection)?.sessions;
      sessions?.get(session)?.closed();
      sessions?.delete(session);
    });
    const onAttach = (event: string, attach: "attachSender" | "attachReceiver") =>
      on(event, ({ connection, session, sender, receiver }) => {
        const client = this.#clients.get(connection);
        const state = client?.sessions.get(session);
        if (!client || !state) return;
        if (Object.keys(session.links).length > MAX_LINKS) {
          breakOff(connection, client.socket, tooMany(`${MAX_LINKS} links in a session`));
        } else this.#attachments[attach](client, state, (sender ?? receiver)!);
      });
    // What the client sends on, rhea receives on.
    onAttach("receiver_open", "attachSender");
    onAttach("sender_open", "attachReceiver");
    for (const event of ["sender_close", "receiver_close"]) {
      on(event, ({ connection, session, sender, receiver }) =>
        this.#clients
          .get(connection)
          ?.sessions.get(session)
          ?.detached((sender ?? receiver)!),
      );
    }
    // A peer that breaks the protocol loses its connection, which rhea closes after telling us; nobody else is disturbed.
    for (const event of ["connection_close", "disconnected", "protocol_error", "error"]) on(event, () => {});
  }

  /** What a turn does with the state machine; answers how to transmit what receivers were given. */
  #deliver(): (() => void)[] {
    for (const { sessions } of this.#clients.values()) for (const session of sessions.values()) session.flush();
    this.#namespace.routing.releaseScheduled();
    for (const queue of this.#namespace.queues) queue.releaseExpiredLocks();
    this.#acceptance.serve();
    const { transmissions, more } = this.#distribution.serve();
    if (more) this.#cycle.request();
    this.#armTimer();
    return this.#corked(transmissions);
  }

  /** Frames of one turn leave each socket in one write. */
  #corked(transmissions: (() => void)[]): (() => void)[] {
    if (transmissions.length === 0) return transmissions;
    const sockets = [...this.#clients.values()].map(({ socket }) => socket);
    const cork = () => sockets.forEach((socket) => void socket.cork());
    const uncork = () => sockets.forEach((socket) => void socket.uncork());
    return [cork, ...transmissions, uncork];
  }

  /** Wakes the next turn when a lock runs out or a scheduled message is due. */
  #armTimer(): void {
    let earliest = this.#namespace.routing.nextDue() ?? Number.POSITIVE_INFINITY;
    for (const queue of this.#namespace.queues) earliest = Math.min(earliest, queue.nextLockExpiry() ?? earliest);
    clearTimeout(this.#timer);
    if (!Number.isFinite(earliest)) return;
    const delay = Math.min(Math.max(1, earliest - this.#now()), 2 ** 31 - 1);
    this.#timer = setTimeout(() => this.#cycle.request(), delay);
    this.#timer.unref();
  }

  #sweep(): void {
    this.#distribution.markUsed();
    for (const queue of this.#namespace.queues) queue.expireMessages();
    this.#namespace.routing.forwardWaiting();
    this.#cycle.request();
  }

  /** What one client sent led to this: it goes, and nobody else is disturbed. */
  #blame(connection: Connection, error: unknown): void {
    const client = this.#clients.get(connection);
    const description = `What was sent could not be handled: ${error instanceof Error ? error.message : String(error)}.`;
    if (client) breakOff(connection, client.socket, { condition: "amqp:internal-error", description });
    else this.#fail(error);
  }

  #fail(error: unknown): void {
    this.#cycle.close();
    this.#onFatal(error);
  }
}
