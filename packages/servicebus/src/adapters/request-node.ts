import type { Arrival, ArrivalSink } from "./incoming-transfers.ts";
import { type DecodedMessage, type Link, message, types } from "./rhea.ts";
import type { Endpoint, SessionState } from "./session-state.ts";
import type { WorkCycle } from "./work-cycle.ts";

export interface NodeResponse {
  readonly status: number;
  readonly description: string;
  readonly errorCondition?: string;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** Answers one request of a request-response node such as `$cbs` or `queue/$management`; never rejects. */
export type AnswerRequest = (request: DecodedMessage) => NodeResponse | Promise<NodeResponse>;

const REQUEST_BYTES = 1 << 20;
const CREDIT = 128;

/** The client's way in to a node: each message is a request, answered over a link the client opened for replies. */
export class RequestLink implements ArrivalSink, Endpoint {
  readonly maxMessageBytes = REQUEST_BYTES;
  readonly #link: Link;
  readonly #session: SessionState;
  readonly #cycle: WorkCycle;
  readonly #answer: AnswerRequest;
  readonly #findReplyLink: (replyTo: string | undefined) => ReplyLink | undefined;
  #open = true;

  constructor(options: {
    link: Link;
    session: SessionState;
    cycle: WorkCycle;
    answer: AnswerRequest;
    findReplyLink: (replyTo: string | undefined) => ReplyLink | undefined;
  }) {
    this.#link = options.link;
    this.#session = options.session;
    this.#cycle = options.cycle;
    this.#answer = options.answer;
    this.#findReplyLink = options.findReplyLink;
    this.#link.flow(CREDIT);
  }

  arrived({ content, deliveryId }: Arrival): void {
    const request = content && decode(content);
    const response = request && this.#answer(request);
    if (response instanceof Promise) void response.then((later) => this.#reply(deliveryId, request, later));
    else this.#reply(deliveryId, request, response);
  }

  #reply(deliveryId: number | undefined, request?: DecodedMessage, response?: NodeResponse): void {
    this.#cycle.afterCommit(() => {
      if (!this.#open) return;
      if (deliveryId !== undefined) this.#session.confirmations.accept(deliveryId);
      if (this.#link.credit < CREDIT / 2) this.#link.flow(CREDIT - this.#link.credit);
      if (request && response) this.#findReplyLink(request.reply_to)?.reply(request, response);
    });
  }

  closed(): void {
    this.#open = false;
  }
}

function decode(content: Buffer): DecodedMessage | undefined {
  try {
    return message.decode(content);
  } catch {
    return undefined; // nobody can be answered: the request's own id is unreadable
  }
}

/** The client's way out of a node: a receiver it opened to get replies on. */
export class ReplyLink implements Endpoint {
  readonly node: string;
  /** What requests name in `reply-to`: the link's target address, or its name where it has none (`$cbs`). */
  readonly addresses: ReadonlySet<string>;
  readonly #link: Link;
  readonly #session: SessionState;
  #replies = 0;
  #open = true;

  constructor(options: { link: Link; session: SessionState; node: string }) {
    this.#link = options.link;
    this.#session = options.session;
    this.node = options.node;
    const names = [options.link.target?.address, options.link.name];
    this.addresses = new Set(names.filter((name) => typeof name === "string"));
    this.#link.on_flow = ({ performative }) => {
      this.#link.credit =
        (performative.delivery_count ?? 0) + (performative.link_credit ?? 0) - this.#link.delivery_count;
    };
  }

  reply(request: DecodedMessage, response: NodeResponse): void {
    if (!this.#open) return;
    const content = message.encode({
      correlation_id: request.message_id,
      application_properties: {
        statusCode: types.wrap_int(response.status),
        statusDescription: response.description,
        // `$cbs` clients read the hyphenated names, `$management` clients the others.
        "status-code": types.wrap_int(response.status),
        "status-description": response.description,
        ...(response.errorCondition && { errorCondition: types.wrap_symbol(response.errorCondition) }),
      },
      body: response.body ?? {},
    });
    const tag = Buffer.from(String(this.#replies++));
    this.#session.outgoing.send(this.#link, { tag, content });
  }

  closed(): void {
    this.#open = false;
  }
}
