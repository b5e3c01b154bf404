import type { Bus } from "./bus.ts";

/** Asks another service and waits for its one answer (JSON both ways). At most once: for reading, never for effects.
 * @throws NatsError `503` when nobody answers this subject, `TIMEOUT` when the answer does not come in time. */
export async function ask<Answer>(bus: Bus, subject: string, question: unknown, timeout_ms = 5_000): Promise<Answer> {
  const reply = await bus.nc.request(subject, JSON.stringify(question), { timeout: timeout_ms });
  return reply.json<Answer>();
}

/**
 * Answers questions on a subject until disposed. Replicas share the questions. What the responder throws, or a promise
 * of it, is logged, and the asker gets no answer.
 */
export function answer(bus: Bus, subject: string, respond: (question: unknown) => unknown): Disposable {
  const subscription = bus.nc.subscribe(subject, {
    queue: subject,
    callback: (err, message) => {
      if (err) return bus.log.error({ err, subject }, "listening failed");
      const failed = (cause: unknown) => bus.log.error({ err: cause, subject }, "a question could not be answered");
      try {
        const given = respond(message.json());
        // What is known at once is said at once.
        if (given instanceof Promise) given.then((later) => message.respond(JSON.stringify(later))).catch(failed);
        else message.respond(JSON.stringify(given));
      } catch (cause) {
        failed(cause);
      }
    },
  });
  return { [Symbol.dispose]: () => subscription.unsubscribe() };
}
