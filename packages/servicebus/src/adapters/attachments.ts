import type { MessageSource } from "../domain/message.ts";
import type { Namespace } from "../domain/namespace.ts";
import type { MessageQueue } from "../domain/queue.ts";
import type { Faults } from "../faults/faults.ts";
import { LinkFaults } from "../faults/link-faults.ts";
import type { Access } from "./access.ts";
import type { Client } from "./client.ts";
import { ConsumerLink } from "./consumer-link.ts";
import type { Distribution } from "./distribution.ts";
import { manage } from "./management.ts";
import { failure } from "./management-operation.ts";
import { ProducerLink } from "./producer-link.ts";
import { BUSY, DROPPED, disabled, notFound, refuse, whyLost } from "./refusals.ts";
import { type AnswerRequest, ReplyLink, RequestLink } from "./request-node.ts";
import type { Link } from "./rhea.ts";
import { claimsMissing, type Right } from "./rights.ts";
import { entityPath } from "./sas.ts";
import { describeSession, type SessionAcceptance, type SessionRequest, wantedSession } from "./session-acceptance.ts";
import type { SessionState } from "./session-state.ts";
import type { WorkCycle } from "./work-cycle.ts";

const SESSION_LOST = {
  condition: "com.microsoft:session-lock-lost",
  description: "The session lock has expired; accept it again.",
};
const MANAGEMENT = /\/\$management$/i;
const CBS = "$cbs";

/** Decides what stands behind each link that a client attaches: an entity, a session of one, a node, or a refusal. */
export class Attachments {
  readonly #namespace: Namespace;
  readonly #cycle: WorkCycle;
  readonly #distribution: Distribution;
  readonly #acceptance: SessionAcceptance;
  readonly #faults: Faults;

  constructor(options: {
    namespace: Namespace;
    cycle: WorkCycle;
    distribution: Distribution;
    acceptance: SessionAcceptance;
    faults: Faults;
  }) {
    this.#namespace = options.namespace;
    this.#cycle = options.cycle;
    this.#distribution = options.distribution;
    this.#acceptance = options.acceptance;
    this.#faults = options.faults;
  }

  /** A link on which the client sends. */
  attachSender(client: Client, state: SessionState, link: Link): void {
    const found = this.#admit(client, state, link, { address: link.target?.address, right: "send" });
    if (!found) return;
    const { path, faults } = found;
    const answer = this.#nodeAt(found);
    if (answer) {
      const findReplyLink = (replyTo: string | undefined) => this.#findReplyLink(state, path, replyTo);
      const endpoint = new RequestLink({ link, session: state, cycle: this.#cycle, answer, findReplyLink });
      this.#bind(state, link, endpoint);
      state.incoming.attach(link, endpoint);
      return;
    }
    const target = this.#namespace.target(path);
    if (!target) {
      refuse(link, { condition: "amqp:not-found", description: notFound(path) });
      return;
    }
    if (target.sendDisabled) {
      refuse(link, disabled(target.name));
      return;
    }
    const endpoint = new ProducerLink({
      link,
      session: state,
      namespace: this.#namespace,
      target,
      cycle: this.#cycle,
      faults,
    });
    link.local.attach.max_message_size = target.maxMessageBytes;
    this.#bind(state, link, endpoint);
    state.incoming.attach(link, endpoint);
  }

  /** A link on which the client receives. */
  attachReceiver(client: Client, state: SessionState, link: Link): void {
    const found = this.#admit(client, state, link, { address: link.source?.address, right: "listen" });
    if (!found) return;
    const { path, faults } = found;
    if (this.#nodeAt(found)) {
      this.#bind(state, link, new ReplyLink({ link, session: state, node: path.toLowerCase() }));
      return;
    }
    const queue = this.#namespace.queue(path);
    if (!queue) {
      refuse(link, { condition: "amqp:not-found", description: notFound(path) });
      return;
    }
    const wanted = wantedSession(link);
    if (faults.isBusy("receive")) refuse(link, BUSY);
    else if (queue.lost) refuse(link, whyLost(queue));
    else if (queue.settings.forwardTo !== undefined) {
      const description = `${path} forwards its messages to ${queue.settings.forwardTo}: nobody can receive them here.`;
      refuse(link, { condition: "amqp:not-allowed", description });
    } else if (queue.sessions && wanted === undefined) {
      const description =
        "It is not possible for an entity that requires sessions to create a non-sessionful message receiver. " +
        `${path} requires sessions.`;
      refuse(link, { condition: "amqp:not-allowed", description });
    } else if (!queue.sessions && wanted !== undefined) {
      refuse(link, {
        condition: "amqp:not-allowed",
        description: `A session receiver cannot be created on ${path}, which has no sessions.`,
      });
    } else if (wanted === undefined) this.#consume(state, link, { source: queue, queue, faults });
    else this.#acceptSession(state, link, { queue, sessionId: wanted ?? undefined, faults });
  }

  #acceptSession(
    state: SessionState,
    link: Link,
    wanted: { queue: MessageQueue; sessionId: string | undefined; faults: LinkFaults },
  ): void {
    const { queue, sessionId, faults } = wanted;
    const request: SessionRequest = {
      link,
      queue,
      sessionId,
      grant: (held) => {
        describeSession(link, held);
        this.#consume(state, link, { source: held, queue, faults });
      },
      refuse: (condition, description) => state.detach(link, { condition, description }),
    };
    state.endpoints.set(link, { closed: () => this.#acceptance.cancel(request) });
    this.#acceptance.request(request);
  }

  #consume(
    state: SessionState,
    link: Link,
    from: { source: MessageSource; queue: MessageQueue; faults: LinkFaults },
  ): void {
    const { source, queue, faults } = from;
    const consumer: ConsumerLink = new ConsumerLink({
      link,
      session: state,
      source,
      cycle: this.#cycle,
      onClosed: () => {
        this.#distribution.remove(consumer);
        this.#cycle.request(); // what it held may be another's now
      },
      onLost: () => state.detach(link, queue.lost ? whyLost(queue) : SESSION_LOST),
      onBusy: () => state.detach(link, BUSY),
      faults,
    });
    this.#distribution.add(consumer);
    this.#bind(state, link, consumer);
  }

  /** Finds what an attaching link needs, or refuses it; one that loses its right later is detached, as in Azure. */
  #admit(
    { access, socket }: Client,
    state: SessionState,
    link: Link,
    wanted: { address: string | null | undefined; right: Right },
  ) {
    const path = entityPath(wanted.address ?? "");
    const faults = new LinkFaults({
      faults: this.#faults,
      path,
      drop: (what) => (what === "drop-link" ? state.detach(link, DROPPED) : socket.destroy()),
      onLate: () => this.#cycle.request(),
    });
    if (path.toLowerCase() === CBS) return { path, access, faults };
    // What a request to `$management` needs, each of them tells: sending for later is asked of it as well as receiving.
    const anyOf: readonly Right[] = MANAGEMENT.test(path) ? ["send", "listen"] : [wanted.right];
    const entity = path.replace(MANAGEMENT, "");
    if (!access.allows(path, ...anyOf)) {
      const description = `${claimsMissing(anyOf, entity)} No token that was put allows it; is there one, and is it still valid?`;
      refuse(link, { condition: "amqp:unauthorized-access", description });
      return undefined;
    }
    if (this.#faults.strike("refuse", path, ({ entity: named }) => named !== undefined)) {
      refuse(link, {
        condition: "amqp:internal-error",
        description: `Links to ${entity} are refused: a fault on demand.`,
      });
      return undefined;
    }
    const description = `${claimsMissing(anyOf, entity)} ExpiredToken: The token is expired.`;
    const onLost = () =>
      this.#cycle.afterCommit(() => state.detach(link, { condition: "amqp:unauthorized-access", description }));
    state.admit(link, path, access.watch(path, anyOf, onLost));
    return { path, access, faults };
  }

  #nodeAt({ path, access, faults }: { path: string; access: Access; faults: LinkFaults }): AnswerRequest | undefined {
    if (path.toLowerCase() === CBS) return access.putToken;
    if (!MANAGEMENT.test(path)) return undefined;
    const entity = path.replace(MANAGEMENT, "");
    const exists = this.#namespace.queue(entity) ?? this.#namespace.target(entity);
    if (!exists) return undefined;
    return manage(this.#namespace, entity, (right) => {
      if (!access.allows(path, right)) {
        return failure(401, "amqp:unauthorized-access", claimsMissing([right], entity));
      }
      const operation = right === "send" ? "send" : "receive";
      return faults.isBusy(operation) ? failure(503, BUSY.condition, BUSY.description) : undefined;
    });
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
}
