import { once } from "node:events";
import type { FastifyReply, FastifyRequest } from "fastify";

/** A comment this often tells the client, and every proxy between, that the connection lives. */
const HEARTBEAT_MS = 15_000;
/** A client that takes nothing for this long is disconnected; it resumes with `Last-Event-ID`. */
const STALL_MS = 15_000;

/** A response of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
export type EventStream = Disposable & {
  /** Writes one event and waits until the client has taken what was written; false when it is gone. */
  send(event: { event: string; data: unknown; id?: number }): Promise<boolean>;
  /** Tells where the stream stands without an event: a client that loses it right away resumes there. */
  position(id: number): void;
  /** Aborted when the client is gone or too slow, or the service stops. */
  readonly signal: AbortSignal;
};

/** Takes over the response. What is written is never ahead of the client by more than one event. */
export function openEventStream(
  request: FastifyRequest,
  reply: FastifyReply,
  stopping: AbortSignal,
  options: { heartbeat_ms?: number; stall_ms?: number } = {},
): EventStream {
  const { heartbeat_ms = HEARTBEAT_MS, stall_ms = STALL_MS } = options;
  reply.hijack();
  const response = reply.raw;
  const gone = new AbortController();
  const signal = AbortSignal.any([gone.signal, stopping]);
  response.on("close", () => gone.abort());
  response.on("error", () => gone.abort());
  response.writeHead(200, {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no", // nginx would hold events back
    Connection: "close", // an event stream is the last thing on its connection
  });
  // A small answer is otherwise held back until more follows.
  request.raw.socket.setNoDelay(true);
  response.write(": millrace\n\n");
  const heartbeat = setInterval(() => {
    if (!response.writableNeedDrain) response.write(": heartbeat\n\n");
  }, heartbeat_ms);

  return {
    signal,
    position: (id) => void response.write(`id: ${id}\n\n`),
    async send({ event, data, id }) {
      if (signal.aborted) return false;
      const lines = [`event: ${event}`, ...(id === undefined ? [] : [`id: ${id}`]), `data: ${JSON.stringify(data)}`];
      if (response.write(`${lines.join("\n")}\n\n`)) return true;
      const slow = AbortSignal.any([signal, AbortSignal.timeout(stall_ms)]);
      try {
        await once(response, "drain", { signal: slow });
        return true;
      } catch {
        gone.abort();
        return false;
      }
    },
    [Symbol.dispose]() {
      clearInterval(heartbeat);
      // A client that takes nothing would keep `end` waiting; what it has not taken, it asks for again.
      if (gone.signal.aborted) response.destroy();
      else response.end();
    },
  };
}
