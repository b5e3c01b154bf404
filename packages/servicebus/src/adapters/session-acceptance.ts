import type { MessageQueue } from "../domain/queue.ts";
import type { HeldSession } from "../domain/sessions.ts";
import { whyLost } from "./refusals.ts";
import { type Link, type Typed, types } from "./rhea.ts";

/** A receiver that asks for a session. */
export interface SessionRequest {
  readonly link: Link;
  readonly queue: MessageQueue;
  /** Which session; `undefined` for the next one that has messages and no receiver. */
  readonly sessionId: string | undefined;
  readonly grant: (held: HeldSession) => void;
  readonly refuse: (condition: string, description: string) => void;
}

interface Waiting {
  readonly request: SessionRequest;
  readonly timer: NodeJS.Timeout;
  /** The credit a client has given without waiting for our answer. */
  readonly flows: FlowFrame[];
}

type FlowFrame = Parameters<Link["on_flow"]>[0];

const FILTER = "com.microsoft:session-filter";
const LOCKED_UNTIL = "com.microsoft:locked-until-utc";
const TIMEOUT = "com.microsoft:timeout";
const DEFAULT_WAIT_MS = 60_000;
const MAX_WAIT_MS = 3_600_000;

/** Gives sessions to receivers; who asks for the next one waits, with the attach unanswered, until there is one. */
export class SessionAcceptance {
  readonly #waiting = new Map<MessageQueue, Waiting[]>();

  request(request: SessionRequest): void {
    const { queue, sessionId } = request;
    const held = sessionId === undefined ? this.#next(queue) : queue.sessions!.accept(sessionId);
    if (held) {
      request.grant(held);
    } else if (sessionId === undefined) {
      this.#wait(request);
    } else {
      const description = `The requested session '${sessionId}' cannot be accepted: another receiver holds it.`;
      request.refuse("com.microsoft:session-cannot-be-locked", description);
    }
  }

  /** Serves those who wait; once per turn. */
  serve(): void {
    for (const [queue, waiting] of this.#waiting) {
      while (waiting.length > 0) {
        if (queue.lost) {
          const { request } = waiting[0]!;
          this.cancel(request);
          const { condition, description } = whyLost(queue);
          request.refuse(condition, description);
          continue;
        }
        const held = queue.sessions!.acceptNext();
        if (!held) break;
        const { request, flows } = waiting[0]!;
        this.cancel(request);
        request.grant(held);
        // Not before rhea has written the attach, or messages would come ahead of it.
        process.nextTick(() => flows.forEach((flow) => void request.link.on_flow(flow)));
      }
    }
  }

  /** The receiver has gone, or has been answered. */
  cancel(request: SessionRequest): void {
    const waiting = this.#waiting.get(request.queue) ?? [];
    const at = waiting.findIndex((one) => one.request === request);
    if (at < 0) return;
    clearTimeout(waiting[at]!.timer);
    waiting.splice(at, 1);
    if (waiting.length === 0) this.#waiting.delete(request.queue);
    answer(request.link);
  }

  /** Nobody overtakes those who wait already. */
  #next(queue: MessageQueue): HeldSession | undefined {
    return this.#waiting.has(queue) ? undefined : queue.sessions!.acceptNext();
  }

  #wait(request: SessionRequest): void {
    const asked = Number(request.link.properties?.[TIMEOUT] ?? DEFAULT_WAIT_MS);
    const waitMs = Math.min(Math.max(0, asked), MAX_WAIT_MS);
    const timer = setTimeout(() => {
      this.cancel(request);
      request.refuse("com.microsoft:timeout", `No session had messages and no receiver within ${waitMs} ms.`);
    }, waitMs);
    timer.unref();
    const flows: FlowFrame[] = [];
    hold(request.link);
    request.link.on_flow = (flow) => void flows.splice(0, 1, flow); // each replaces the one before
    const waiting = this.#waiting.get(request.queue) ?? [];
    this.#waiting.set(request.queue, [...waiting, { request, timer, flows }]);
  }
}

/** Which session an attaching receiver wants: one by name, `null` for the next, `undefined` when it wants none. */
export function wantedSession(link: Link): string | null | undefined {
  const asked = link.source?.filter?.[FILTER];
  const value = isTyped(asked) ? asked.value : asked;
  return value === undefined || value === null || typeof value === "string" ? value : String(value);
}

/** Answers an attach with the session that was given, in the form it was asked for (bare or described). */
export function describeSession(link: Link, held: HeldSession): void {
  const source = link.source!;
  const asked = source.filter?.[FILTER];
  const id = types.wrap_string(held.id);
  const described = isTyped(asked) && asked.descriptor ? types.described(asked.descriptor, id) : id;
  source.filter = { ...source.filter, [FILTER]: described };
  link.local.attach.properties = { [LOCKED_UNTIL]: types.wrap_long(ticks(held.lockedUntil)) };
}

/** .NET counts in 100 ns from the year 1: more than a number can hold. */
function ticks(epochMs: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE((BigInt(epochMs) + 62_135_596_800_000n) * 10_000n);
  return bytes;
}

/** rhea answers an attach by itself as soon as its listeners have run: until `answer` it finds nothing to do. */
function hold(link: Link): void {
  link._process = () => {};
}

function answer(link: Link): void {
  Reflect.deleteProperty(link, "_process"); // the prototype's is there again
  link.connection._register();
}

const isTyped = (value: unknown): value is Typed & { readonly descriptor?: Typed } =>
  value !== null && typeof value === "object" && "type" in value && "value" in value;
