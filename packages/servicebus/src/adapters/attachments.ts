import type { MessageSource } from "../domain/message.ts";
import type { Namespace } from "../domain/namespace.ts";
import type { MessageQueue } from "../domain/queue.ts";
import type { Access } from "./access.ts";
import type { Client } from "./client.ts";
import { ConsumerLink } from "./consumer-link.ts";
import type { Distribution } from "./distribution.ts";
import { manage } from "./management.ts";
import { ProducerLink } from "./producer-link.ts";
import { disabled, notFound, whyLost } from "./refusals.ts";
import { type AnswerRequest, ReplyLink, RequestLink } from "./request-node.ts";
import type { Link } from "./rhea.ts";
import { claimsMissing, type Right } from "./rights.ts";
import { entityPath } from "./sas.ts";
import { describeSession, type SessionAcceptance, type SessionRequest, wantedSession } from "./session-acceptance.ts";
import type { SessionState } from "./session-state.ts";
import type { WorkCycle } from "./work-cycle.ts";

const MANAGEMENT = /\/\$management$/i;
const CBS = "$cbs";

/** Decides what stands behind each link that a client attaches: an entity, a session of one, a node, or a refusal. */
export class Attachments {
  readonly #namespace: Namespace;
  readonly #cycle: WorkCycle;
  readonly #distribution: Distribution;
  readonly #acceptance: SessionAcceptance;

  constructor(options: {
    namespace: Namespace;
    cycle: WorkCycle;
    distribution: Distribution;
    acceptance: SessionAcceptance;
  }) {
    this.#namespace = options.namespace;
    this.#cycle = options.cycle;
    this.#distribution = options.distribution;
    this.#acceptance = options.acceptance;
  }

  /** A link on which the client sends. */
  attachSender(client: Client, state: SessionState, link: Link): void {
    const found = this.#admit(client, state, link, { address: link.target?.address, right: "send" });
    if (!found) return;
    const { path, access } = found;
    const answer = this.#nodeAt(path, access);
    if (answer) {
      const findReplyLink = (replyTo: string | undefined) => this.#findReplyLink(state, path, replyTo);
      const endpoint = new RequestLink({ link: link, session: state, cycle: this.#cycle, answer, findReplyLink });
      this.#bind(state, link, endpoint);
      state.incoming.attach(link, endpoint);
      return;
    }
    const target = this.#namespace.target(path);
    if (!target) {
      this.#refuse(link, "amqp:not-found", notFound(path));
      return;
    }
    if (target.sendDisabled) {
      const { condition, description } = disabled(target.name);
      this.#refuse(link, condition, description);
      return;
    }
    const options = { link: link, session: state, namespace: this.#namespace, target, cycle: this.#cycle };
    const endpoint = new ProducerLink(options);
    link.local.attach.max_message_size = target.maxMessageBytes;
    this.#bind(state, link, endpoint);
    state.incoming.attach(link, endpoint);
  }

  /** A link on which the client receives. */
  attachReceiver(client: Client, state: SessionState, link: Link): void {
    const found = this.#admit(client, state, link, { address: link.source?.address, right: "listen" });
    if (!found) return;
    const { path, access } = found;
    if (this.#nodeAt(path, access)) {
      this.#bind(state, link, new ReplyLink({ link: link, session: state, node: path.toLowerCase() }));
      return;
    }
    const queue = this.#namespace.queue(path);
    if (!queue) {
      this.#refuse(link, "amqp:not-found", notFound(path));
      return;
    }
    const wanted = wantedSession(link);
    if (queue.lost) {
      const { condition, description } = whyLost(queue);
      this.#refuse(link, condition, description);
    } else if (queue.settings.forwardTo !== undefined) {
      const description = `${path} forwards its messages to ${queue.settings.forwardTo}: nobody can receive them here.`;
      this.#refuse(link, "amqp:not-allowed", description);
    } else if (queue.sessions && wanted === undefined) {
      const description =
        "It is not possible for an entity that requires sessions to create a non-sessionful message receiver. " +
        `${path} requires sessions.`;
      this.#refuse(link, "amqp:not-allowed", description);
    } else if (!queue.sessions && wanted !== undefined) {
      this.#refuse(link, "amqp:not-allowed", `A session receiver cannot be created on ${path}, which has no sessions.`);
    } else if (wanted === undefined) this.#consume(state, link, { source: queue, queue });
    else this.#acceptSession(state, link, queue, wanted ?? undefined);
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
    const consumer: ConsumerLink = new ConsumerLink({
      link,
      session: state,
      source,
      cycle: this.#cycle,
      onClosed: () => {
        this.#distribution.remove(consumer);
        this.#cycle.request(); // what it held may be another's now
      },
      onLost: () => {
        state.detached(link);
        const { condition, description } = whyLost(queue);
        if (queue.lost) this.#refuse(link, condition, description);
        else this.#refuse(link, "com.microsoft:session-lock-lost", "The session lock has expired; accept it again.");
      },
    });
    this.#distribution.add(consumer);
    this.#bind(state, link, consumer);
  }

  /** Finds what an attaching link needs, or refuses it; one that loses its right later is detached, as in Azure. */
  #admit(
    { access }: Client,
    state: SessionState,
    link: Link,
    wanted: { address: string | null | undefined; right: Right },
  ) {
    const path = entityPath(wanted.address ?? "");
    if (path.toLowerCase() === CBS) return { path, access };
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
    return { path, access };
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
}
