import { consumerName, parseRequestSubject, problem, REQUEST_STREAM } from "@millrace/contracts";
import type { Bus } from "./bus.ts";
import { type Consumption, consume, type Delivery } from "./consume.ts";
import type { Lanes } from "./lanes.ts";
import { deadLetterOf } from "./outcome-message.ts";
import { done, retry, type Verdict } from "./verdict.ts";

export type StrayOptions = {
  isServed: (model: string) => boolean;
  lanes: Pick<Lanes, "register">;
};

/** A model deployed a moment ago may be known to a publisher before it is known here. */
const DEPLOYED_WITHIN_MS = 1_000;
/** Models not served whose first sight is remembered: more than can be under way at once. */
const UNSERVED_MAX = 10_000;

/**
 * Looks at the headers of every request, so that each finds its way: a lane that nobody has registered is registered
 * (ingest does so before it publishes; who publishes by hand does not), and what no worker pool will ever take is
 * dead-lettered: a model that is not deployed, or a subject that is not a request's.
 */
export const consumeStrays = (bus: Bus, { isServed, lanes }: StrayOptions): Promise<Consumption> => {
  /** When each model was first seen not served. */
  const unserved = new Map<string, number>();

  const look = async (delivery: Delivery): Promise<Verdict> => {
    const of = parseRequestSubject(delivery.subject);
    if (!of) return await strayed(delivery, "malformed-message", `${delivery.subject} is not the subject of a request`);
    if (isServed(of.model)) {
      unserved.delete(of.model);
      await lanes.register(of);
      return done();
    }
    const now = performance.now();
    const since = unserved.get(of.model) ?? now;
    if (!unserved.has(of.model)) {
      if (unserved.size >= UNSERVED_MAX) unserved.delete(unserved.keys().next().value!);
      unserved.set(of.model, now);
    }
    if (now - since < DEPLOYED_WITHIN_MS) return retry("infrastructure", `"${of.model}" may have just been deployed`);
    return await strayed(delivery, "unknown-model", `no worker serves a model named "${of.model}"`);
  };

  const strayed = async (delivery: Delivery, code: "malformed-message" | "unknown-model", detail: string) => {
    // Only headers were delivered; the dead letter states the digest of the whole message.
    const { data } = await bus.jsm.streams.getMessage(delivery.stream, { seq: delivery.sequence });
    return done(deadLetterOf(bus, withBody(delivery, data), problem(code, detail).problem));
  };

  return consume(
    bus,
    {
      stream: REQUEST_STREAM.tensor.name,
      durable: consumerName.strays(),
      headers_only: true,
      batch_max: 500,
      concurrency: 4,
      deliveries_max: Number.POSITIVE_INFINITY, // it parses nothing that could kill it
    },
    (deliveries) => Promise.all(deliveries.map(look)),
    { deadLetter: () => undefined },
  );
};

const withBody = (delivery: Delivery, body: Uint8Array): Delivery => ({
  subject: delivery.subject,
  body,
  headerLength: delivery.headerLength,
  header: (name) => delivery.header(name),
  stream: delivery.stream,
  sequence: delivery.sequence,
  deliveries: delivery.deliveries,
  attempt: delivery.attempt,
  stored_at: delivery.stored_at,
});
