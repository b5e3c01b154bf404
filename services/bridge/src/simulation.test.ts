/** The handler of outcomes against a Service Bus that takes messages, or says so and has not, or has and says not. */
import type { OutgoingMessage, SendResult } from "@millrace/azure";
import { consumeOutcomes } from "@millrace/bus";
import { forScenarios, plainHandler, runWorkers, type Simulation, simulate, submitJobs } from "@millrace/bus/testing";
import { canonicalBytes, consumerName, digestOf, EVENTS, effectId, OUTCOMES, outcomeId } from "@millrace/contracts";
import { test } from "vitest";
import { type Link, Outbox } from "./domain/outbox.ts";
import { Throttle } from "./domain/throttle.ts";
import { onOutcomeStored } from "./handlers/outcome-stored.ts";

const MODEL = "pump";
const ROUTE = "all";
const durable = consumerName.bridge(ROUTE);

/** A topic in virtual time. What it took, by `MessageId`: how often, and with which content. */
function topic({ world, books, broker }: Simulation) {
  const random = world.random("topic");
  const taken = new Map<string, { digest: string; times: number }>();
  const take = ({ messageId, body }: OutgoingMessage) => {
    const id = String(messageId);
    const digest = digestOf(body as Uint8Array);
    world.note(`the topic takes ${id}`);
    const stored = [...broker.streams.get(OUTCOMES.name)!.all()].some((message) => digestOf(message.data) === digest);
    if (!stored) books.violated(`${id} was sent without an outcome`);
    const before = taken.get(id);
    if (before && before.digest !== digest) books.violated(`${id} was sent with two contents`);
    taken.set(id, { digest, times: (before?.times ?? 0) + 1 });
  };
  /** One that is too large stays too large. */
  const isTooLarge = ({ messageId }: OutgoingMessage) => String(messageId).startsWith("bad-1");
  const link: Link = {
    sendAll: (messages) =>
      new Promise((resolve) => {
        if (!world.step()) return; // dead: nothing is sent, and nothing comes back
        const process = world.current();
        const down = random.chance(0.2);
        world.schedule(random.next() * 300, () => {
          const results = messages.map((message): SendResult => {
            if (isTooLarge(message)) return { ok: false, kind: "too-large", why: "larger than 256 bytes" };
            if (down && random.chance(0.5)) return { ok: false, kind: "busy", why: "ServiceBusy" };
            take(message);
            if (down && random.chance(0.5)) return { ok: false, kind: "transient", why: "the link was lost" };
            return { ok: true };
          });
          world.schedule(random.next() * 100, () => resolve(results), process);
        });
      }),
  };
  return { link, taken };
}

const outcomesToServiceBus = (simulation: Simulation) => {
  const { scenario, books, broker } = simulation;
  submitJobs(simulation, { model: MODEL, kinds: { good: 4, bad: 1 }, body: (job) => canonicalBytes(job) });
  runWorkers(simulation, MODEL, plainHandler(simulation, MODEL));
  const { link, taken } = topic(simulation);
  simulation.service("bridge", scenario.replicas, async (bus) => {
    const outbox = new Outbox({
      link,
      throttle: new Throttle(),
      messages_max: 256,
      sends_max: 8,
      now: () => performance.now(),
      wait: (ms, signal) =>
        new Promise((resolve) => {
          const timer = setTimeout(resolve, ms);
          const end = () => {
            clearTimeout(timer);
            resolve();
          };
          signal.addEventListener("abort", end, { once: true });
        }),
      onReport: () => {},
    });
    const handle = onOutcomeStored({ route: { name: ROUTE, topic: "predictions" }, outbox });
    const { batch_max, concurrency } = scenario;
    const consumption = await consumeOutcomes(
      bus,
      {
        durable,
        batch_max,
        concurrency,
        deliveries_max: Number.POSITIVE_INFINITY,
        effect: { channel: "servicebus", destination: ROUTE },
      },
      handle,
    );
    return {
      [Symbol.asyncDispose]() {
        outbox.stop();
        return consumption[Symbol.asyncDispose]();
      },
    };
  });
  const failed = (id: string, attempt: number) =>
    broker.streams.get(EVENTS.name)!.lastOf(`evt.*.*.delivery.${ROUTE}.${id}.${attempt}`) !== undefined;
  const isEffected = (id: string, attempt: number) =>
    taken.has(effectId(outcomeId(id, attempt), ROUTE)) || failed(id, attempt);
  books.onAck((name, { subject, sequence }) => {
    if (name !== durable) return;
    const id = subject.split(".")[4]!;
    const { record } = books.outcomes.get(id)!.find((outcome) => outcome.sequence === sequence)!;
    if (!isEffected(id, record.attempt)) books.violated(`the outcome of ${id} was acknowledged before it was sent`);
  });
  // Made by the service; until then nothing waits for it, and nothing is at rest.
  simulation.until(() => broker.durable(OUTCOMES.name, durable) !== undefined);
  simulation.until(() =>
    [...books.outcomes].every(([id, all]) => all.every(({ record }) => isEffected(id, record.attempt))),
  );
};

test("each outcome reaches the topic under one id with one content, and is not acknowledged before", {
  timeout: 600_000,
}, async () => {
  await forScenarios((scenario) => simulate(scenario, outcomesToServiceBus), { runs: 600 });
});
