import { LIMITS, type RequestState } from "@millrace/contracts";
import { Gauge, type Registry } from "@millrace/kit";
import { jsonState } from "../domain/answer.ts";
import type { OutcomeWaits, Streams } from "../domain/ports.ts";
import { type Handler, header, place } from "./call.ts";
import { openEventStream } from "./event-stream.ts";
import { refuse } from "./problems.ts";

/** One request's events end by themselves after this long; its state can be asked for, or the stream opened again. */
const REQUEST_EVENTS_MS = 3_600_000;

export type EventDeps = {
  streams: Streams;
  waits: OutcomeWaits;
  listeners: Listeners;
  /** Aborted when stopping begins. */
  signal: AbortSignal;
};

/** How many event streams are open. */
export type Listeners = { enter(): Disposable | undefined };

export function countListeners(metrics: Registry): Listeners {
  const open = new Gauge({ name: "millrace_event_streams", help: "Open event streams", registers: [metrics] });
  let count = 0;
  return {
    enter() {
      if (count >= LIMITS.event_streams) return undefined;
      open.set(++count);
      return { [Symbol.dispose]: () => open.set(--count) };
    },
  };
}

const TOO_MANY = {
  code: "too-many-listeners",
  detail: `${LIMITS.event_streams} event streams are open in this process`,
} as const;

/** `GET …/requests/{id}/events`: `pending`, then the outcome, then the end. */
export const onRequestEvents =
  ({ streams, waits, listeners, signal: stopping }: EventDeps): Handler =>
  async (request, reply) => {
    const id = request.call.params.id!;
    request.call.id = id;
    const of = { ...place(request.call), id };
    using listening = listeners.enter();
    if (!listening) return refuse(request, reply, TOO_MANY);

    // Listening begins before the look, so that an outcome in between is not missed.
    using waiting = waits.begin(of);
    const stored = await streams.outcome(of);
    if (!stored && !(await streams.exists(of)))
      return refuse(request, reply, { code: "unknown-request", detail: `no request ${id} is known for ${of.model}` });

    using events = openEventStream(request, reply, stopping);
    const { signal } = events;
    const pending: RequestState = { id, state: "pending", outcome: null };
    if (!stored && !(await events.send({ event: "pending", data: pending }))) return reply;
    const outcome = stored ?? (await waiting.outcome({ timeout_ms: REQUEST_EVENTS_MS, signal }));
    if (outcome) await events.send({ event: outcome.address.state, data: jsonState(outcome), id: outcome.sequence });
    return reply;
  };

/** `GET …/outcomes/events`: a project's outcomes, resumable by their position in the stream. */
export const onOutcomeEvents =
  ({ streams, listeners, signal: stopping }: EventDeps): Handler =>
  async (request, reply) => {
    const { tenant, project } = place(request.call);
    const last = header(request, "last-event-id");
    using listening = listeners.enter();
    if (!listening) return refuse(request, reply, TOO_MANY);

    // "Now" is settled before the response begins: what comes after it is told, whatever happens to connections.
    const after = last === undefined ? await streams.position() : Number(last);

    using events = openEventStream(request, reply, stopping);
    const { signal } = events;
    events.position(after);
    for await (const outcome of streams.follow({ tenant, project }, { after, signal })) {
      const { state } = outcome.address;
      if (!(await events.send({ event: state, data: jsonState(outcome), id: outcome.sequence }))) break;
    }
    return reply;
  };
