import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Journal } from "../domain/journal.ts";
import type { MessageSource } from "../domain/message.ts";
import type { Namespace } from "../domain/namespace.ts";
import type { MessageQueue } from "../domain/queue.ts";
import { Access } from "./access.ts";
import type { Authority } from "./authority.ts";
import { ConsumerLink } from "./consumer-link.ts";
import { manage } from "./management.ts";
import { ProducerLink } from "./producer-link.ts";
import { notFound } from "./refusals.ts";
import { type AnswerRequest, ReplyLink, RequestLink } from "./request-node.ts";
import { type Connection, type EventContext, type Link, container as rhea, type Session } from "./rhea.ts";
import { claimsMissing, type Right } from "./rights.ts";
import { entityPath } from "./sas.ts";
import { mechanisms, provedKey } from "./sasl.ts";
import { describeSession, SessionAcceptance, type SessionRequest, wantedSession } from "./session-acceptance.ts";
import { SessionState } from "./session-state.ts";
import { WorkCycle } from "./work-cycle.ts";

interface Client {
  readonly access: Access;
  readonly sessions: Map<Session, SessionState>;
  readonly socket: Socket;
}

const MANAGEMENT = /\/\$management$/i;
const CBS = "$cbs";
const FRAME_BYTES = 65_536;
const IDLE_MS = 120_000;
const CLOSE_MS = 1_000;
const EXPIRY_SWEEP_MS = 5_000;

/** Speaks AMQP 1.0 for a namespace: accepts connections, decides what each link is attached to, and drives the turns. */
export class AmqpServer {
  readonly #namespace: Namespace;
  readonly #authority: Authority;
  readonly #now: () => number;
  readonly #cycle: WorkCycle;
  readonly #onFatal: (error: unknown) => void;
  readonly #clients = new Map<Connection, Client>();
  readonly #consumers = new Map<MessageSource, ConsumerLink[]>();
  readonly #acceptance = new SessionAcceptance();
  readonly #container = rhea.create_container({ id: "millrace-servicebus" });
  readonly #server: Server;
  readonly #door: { enter(socket: Socket): void; close(): void };
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
    door: { enter(socket: Socket): void; close(): void };
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
    this.#door = options.door;
    this.#server = createServer((socket) => this.#door.enter(socket));
    Object.assign(this.#container.sasl_server_mechanisms, mechanisms(options.authority.accessKey));
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
  accept(socket: Socket): void {
    socket.setNoDelay(true);
    const connection = this.#container.create_connection({
      max_frame_size: FRAME_BYTES,
      idle_time_out: IDLE_MS,
      receiver_options: { credit_window: 0, autoaccept: false, autosettle: false },
      sender_options: { autosettle: false, treat_modified_as_released: false },
    });
    const access = new Access({ authority: this.#authority, now: this.#now });
    const client: Client = { access, sessions: new Map(), socket };
    this.#clients.set(connection, client);
    socket.on("drain", () => this.#cycle.request());
    socket.on("close", () => {
      for (const session of client.sessions.values()) session.closed();
      this.#clients.delete(connection);
    });
    connection.accept(socket);
  }

  #listenToRhea(): void {
    const on = (event: string, handle: (context: EventContext) => void) =>
      this.#container.on(event, (context: EventContext) => {
        try {
          handle(context);
        } catch (error) {
          this.#fail(error);
        }
      });
    on("connection_open", ({ connection }) => {
      if (provedKey(connection)) this.#clients.get(connection)?.access.grantByPassword();
    });
    on("session_open", ({ connection, session }) => {
      this.#clients.get(connection)?.sessions.set(session, new SessionState(session));
    });
    on("session_close", ({ connection, session }) => {
      const sessions = this.#clients.get(connection)?.sessions;
      sessions?.get(session)?.closed();
      sessions?.delete(session);
    });
    on("receiver_open", (context) => this.#onClientSender(context));
    on("sender_open", (context) => this.#onClientReceiver(context));
    const onDetach = ({ connection, session, sender, receiver }: EventContext) =>
      this.#clients
        .get(connection)
        ?.sessions.get(session)
        ?.detached((sender ?? receiver)!);
    on("sender_close", onDetach);
    on("receiver_close", onDetach);
    // A peer that breaks the protocol loses its connection, which rhea closes after telling us; nobody else is disturbed.
    for (const event of ["connection_close", "disconnected", "protocol_error", "error"]) on(event, () => {});
  }

  #onClientSender({ connection, session, receiver: link }: EventContext): void {
    const found = this.#admit(connection, session, link!, { address: link!.target?.address, right: "send" });
    if (!found) return;
    const { state, path, access } = found;
    const answer = this.#nodeAt(path, access);
    if (answer) {
      const findReplyLink = (replyTo: string | undefined) => this.#findReplyLink(state, path, replyTo);
      const endpoint = new RequestLink({ link: link!, session: state, cycle: this.#cycle, answer, findReplyLink });
      this.#bind(state, link!, endpoint);
      state.incoming.attach(link!, endpoint);
      return;
    }
    const target = this.#namespace.target(path);
    if (!target) {
      this.#refuse(link!, "amqp:not-found", notFound(path));
      return;
    }
    const options = { link: link!, session: state, namespace: this.#namespace, target, cycle: this.#cycle };
    const endpoint = new ProducerLink(options);
    link!.local.attach.max_message_size = target.maxMessageBytes;
    this.#bind(state, link!, endpoint);
    state.incoming.attach(link!, endpoint);
  }

  #onClientReceiver({ connection, session, sender: link }: EventContext): void {
    const found = this.#admit(connection, session, link!, { address: link!.source?.address, right: "listen" });
    if (!found) return;
    const { state, path, access } = found;
    if (this.#nodeAt(path, access)) {
      this.#bind(state, link!, new ReplyLink({ link: link!, session: state, node: path.toLowerCase() }));
      return;
    }
    const queue = this.#namespace.queue(path);
    if (!queue) {
      this.#refuse(link!, "amqp:not-found", notFound(path));
      return;
    }
    const wanted = wantedSession(link!);
    if (queue.settings.forwardTo !== undefined) {
      const description = `${path} forwards its messages to ${queue.settings.forwardTo}: nobody can receive them here.`;
      this.#refuse(link!, "amqp:not-allowed", description);
    } else if (queue.sessions && wanted === undefined) {
      const description = `It is not possible for ${path}, which requires sessions, to create a receiver without one.`;
      this.#refuse(link!, "amqp:not-allowed", description);
    } else if (!queue.sessions && wanted !== undefined) {
      this.#refuse(
        link!,
        "amqp:not-allowed",
        `A session receiver cannot be created on ${path}, which has no sessions.`,
      );
    } else if (wanted === undefined) this.#consume(state, link!, { source: queue, queue });
    else this.#acceptSession(state, link!, queue, wanted ?? undefined);
  }

  #acceptSession(state: SessionState, link: Link, queue: MessageQueue, sessionId: string | undefined): void {
    const request: SessionRequest = {
      link,
      queue,
      sessionId,
      grant: (held) => {
        describeSession(link, held);
        this.#consume(state, link, { source: held, queue });
      },
      refuse: (condition, description) => {
        state.detached(link);
        this.#refuse(link, condition, description);
      },
    };
    state.endpoints.set(link, { closed: () => this.#acceptance.cancel(request) });
    this.#acceptance.request(request);
  }

  #consume(state: SessionState, link: Link, from: { source: MessageSource; queue: MessageQueue }): void {
    const { source, queue } = from;
    const consumers = this.#consumers.get(source) ?? [];
    this.#consumers.set(source, consumers);
    const consumer: ConsumerLink = new ConsumerLink({
      link,
      session: state,
      source,
      cycle: this.#cycle,
      onClosed: () => {
        consumers.splice(consumers.indexOf(consumer), 1);
        if (consumers.length === 0) this.#consumers.delete(source);
        this.#cycle.request(); // what it held may be another's now
      },
      onLost: () => {
        state.detached(link);
        if (queue.lost) this.#refuse(link, "amqp:not-found", notFound(queue.name));
        else this.#refuse(link, "com.microsoft:session-lock-lost", "The session lock has expired; accept it again.");
      },
    });
    consumers.push(consumer);
    this.#bind(state, link, consumer);
  }

  /** Finds what an attaching link needs, or refuses it; one that loses its right later is detached, as in Azure. */
  #admit(
    connection: Connection,
    session: Session,
    link: Link,
    wanted: { address: string | null | undefined; right: Right },
  ) {
    const client = this.#clients.get(connection);
    const state = client?.sessions.get(session);
    if (!client || !state) return undefined;
    const { access } = client;
    const path = entityPath(wanted.address ?? "");
    if (path.toLowerCase() === CBS) return { state, path, access };
    // What a request to `$management` needs, each of them tells: sending for later is asked of it as well as receiving.
    const anyOf: readonly Right[] = MANAGEMENT.test(path) ? ["send", "listen"] : [wanted.right];
    const entity = path.replace(MANAGEMENT, "");
    if (!access.allows(path, ...anyOf)) {
      const description = `${claimsMissing(anyOf, entity)} No token that was put allows it; is there one, and is it still valid?`;
      this.#refuse(link, "amqp:unauthorized-access", description);
      return undefined;
    }
    const onLost = () =>
      this.#cycle.afterCommit(() => {
        state.detached(link);
        const description = `${claimsMissing(anyOf, entity)} ExpiredToken: The token is expired.`;
        this.#refuse(link, "amqp:unauthorized-access", description);
      });
    state.watched(link, access.watch(path, anyOf, onLost));
    return { state, path, access };
  }

  #nodeAt(path: string, access: Access): AnswerRequest | undefined {
    if (path.toLowerCase() === CBS) return access.putToken;
    if (!MANAGEMENT.test(path)) return undefined;
    const entity = path.replace(MANAGEMENT, "");
    const exists = this.#namespace.queue(entity) ?? this.#namespace.target(entity);
    return exists && manage(this.#namespace, entity, (right) => access.allows(path, right));
  }

  #findReplyLink(state: SessionState, path: string, replyTo: string | undefined): ReplyLink | undefined {
    const links = [...state.endpoints.values()].filter((endpoint) => endpoint instanceof ReplyLink);
    const ofNode = links.filter(({ node }) => node === path.toLowerCase());
    return ofNode.find(({ addresses }) => replyTo !== undefined && addresses.has(replyTo)) ?? ofNode.at(-1);
  }

  /** Answers an attach in the peer's own terms: its termini and settle modes are what it gets. */
  #bind(state: SessionState, link: Link, endpoint: { closed(): void }): void {
    const { attach } = link.local;
    if (link.source) attach.source = link.source.described();
    if (link.target) attach.target = link.target.described();
    if (link.snd_settle_mode != null) attach.snd_settle_mode = link.snd_settle_mode;
    if (link.rcv_settle_mode != null) attach.rcv_settle_mode = link.rcv_settle_mode;
    state.endpoints.set(link, endpoint);
  }

  /** An attach is always answered; one without a terminus, followed by a detach, is a refusal (AMQP 1.0, 2.6.3). */
  #refuse(link: Link, condition: string, description: string): void {
    link.on_flow = () => {};
    link.close({ condition, description });
  }

  /** Gives waiting messages to the consumers of each queue in turn; answers how to transmit them. */
  #deliver(): (() => void)[] {
    const transmissions: (() => void)[] = [];
    for (const { sessions } of this.#clients.values()) for (const session of sessions.values()) session.flush();
    this.#namespace.releaseScheduled();
    for (const queue of this.#namespace.queues) queue.releaseExpiredLocks();
    this.#acceptance.serve();
    let more = false;
    for (const [source, consumers] of this.#consumers) {
      if (source.lost) {
        for (const consumer of [...consumers]) consumer.lose();
        continue;
      }
      let idle = 0;
      while (source.hasReady && idle < consumers.length) {
        const consumer = consumers.shift()!;
        consumers.push(consumer);
        const transmit = consumer.take();
        if (transmit) transmissions.push(transmit);
        idle = transmit ? 0 : idle + 1;
      }
      for (const consumer of consumers) {
        const unfinished = source.hasReady && consumer.wantsMore;
        more ||= unfinished;
        if (consumer.draining && !unfinished) transmissions.push(() => consumer.finishDrain());
      }
    }
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
    let earliest = this.#namespace.nextDue() ?? Number.POSITIVE_INFINITY;
    for (const queue of this.#namespace.queues) earliest = Math.min(earliest, queue.nextLockExpiry() ?? earliest);
    clearTimeout(this.#timer);
    if (!Number.isFinite(earliest)) return;
    const delay = Math.min(Math.max(1, earliest - this.#now()), 2 ** 31 - 1);
    this.#timer = setTimeout(() => this.#cycle.request(), delay);
    this.#timer.unref();
  }

  #sweep(): void {
    for (const queue of this.#namespace.queues) queue.expireMessages();
    this.#namespace.forwardWaiting();
    this.#cycle.request();
  }

  #fail(error: unknown): void {
    this.#cycle.close();
    this.#onFatal(error);
  }
}
