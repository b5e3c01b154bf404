/** The handler of outcomes against a receiver that answers, fails, refuses, or takes the webhook and loses the answer. */
import { consumeOutcomes } from "@millrace/bus";
import { forScenarios, plainHandler, runWorkers, type Simulation, simulate, submitJobs } from "@millrace/bus/testing";
import { canonicalBytes, consumerName, digestOf, EVENTS, effectId, OUTCOMES, outcomeId } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { test } from "vitest";
import type { Webhook } from "./adapters/webhook.ts";
import type { Attempt } from "./domain/delivery.ts";
import type { Notification } from "./domain/notification.ts";
import type { Rule } from "./domain/rule.ts";
import { CHANNEL, onOutcomeStored } from "./handlers/outcome-stored.ts";

const MODEL = "pump";
const RULE: Rule = { name: "alarm", url: new URL("https://receiver.invalid/"), secret: { env: "NONE" } };
const durable = consumerName.notifier(RULE.name);
const log = createLogger("test", "silent");

/** A receiver in virtual time: what it took, by `webhook-id`, with the digest of the content. */
function receiver({ world, books }: Simulation) {
  const random = world.random("receiver");
  const taken = new Map<string, string>();
  const take = ({ id, body }: Notification) => {
    world.note(`the receiver takes ${id}`);
    const outcome = [...books.outcomes.values()].flat().find(({ record }) => idOf(record) === id);
    if (!outcome) books.violated(`${id} was sent without an outcome`);
    const digest = digestOf(body);
    if (taken.has(id) && taken.get(id) !== digest) books.violated(`${id} was sent with two contents`);
    taken.set(id, digest);
  };
  /** Some are never wanted, and at some the receiver always stumbles. */
  const answerTo = (notification: Notification): Attempt => {
    if (notification.id.startsWith("bad-2")) return { kind: "refused", why: "the receiver answered 410" };
    if (notification.id.startsWith("bad-3")) return { kind: "failed", why: "the receiver answered 500" };
    if (random.chance(0.15)) return { kind: "failed", why: "the receiver answered 503", after_ms: 2_000 };
    take(notification);
    return random.chance(0.1) ? { kind: "failed", why: "no answer in time" } : { kind: "delivered", status: 204 };
  };
  const webhook: Webhook = {
    deliver: (notification) =>
      new Promise((resolve) => {
        if (!world.step()) return; // dead: nothing is sent, and nothing comes back
        const process = world.current();
        world.schedule(random.next() * 200, () => {
          const answer = answerTo(notification);
          world.schedule(random.next() * 200, () => resolve(answer), process);
        });
      }),
    async [Symbol.asyncDispose]() {},
  };
  return { webhook, taken };
}

const idOf = (record: { id: string; attempt: number }) => effectId(outcomeId(record.id, record.attempt), RULE.name);

const outcomesToWebhooks = (simulation: Simulation) => {
  const { scenario, books, broker } = simulation;
  submitJobs(simulation, { model: MODEL, kinds: { good: 3, bad: 2 }, body: (job) => canonicalBytes(job) });
  runWorkers(simulation, MODEL, plainHandler(simulation, MODEL));
  const { webhook, taken } = receiver(simulation);
  const metrics = { passed() {}, attempted() {} };
  simulation.service("notifier", scenario.replicas, (bus) => {
    const handle = onOutcomeStored({ bus, rule: RULE, webhook, metrics, log });
    const { batch_max, concurrency } = scenario;
    return consumeOutcomes(
      bus,
      { durable, batch_max, concurrency, effect: { channel: CHANNEL, destination: RULE.name } },
      (outcomes) => Promise.all(outcomes.map(handle)),
    );
  });
  const recorded = ({ id, attempt }: { id: string; attempt: number }) => {
    const event = broker.streams.get(EVENTS.name)!.lastOf(`evt.*.*.delivery.${RULE.name}.${id}.${attempt}`);
    return event && (JSON.parse(Buffer.from(event.data).toString()) as { code?: string });
  };
  books.onAck((name, { subject, sequence }) => {
    if (name !== durable) return;
    const id = subject.split(".")[4]!;
    const { record } = books.outcomes.get(id)!.find((outcome) => outcome.sequence === sequence)!;
    const event = recorded(record);
    if (!event) books.violated(`the outcome of ${id} was acknowledged before its delivery was recorded`);
    else if (event.code === undefined && !taken.has(idOf(record)))
      books.violated(`the delivery of ${id} was recorded and did not happen`);
  });
  simulation.until(() => broker.durable(OUTCOMES.name, durable) !== undefined);
  simulation.until(() => [...books.outcomes.values()].flat().every(({ record }) => recorded(record) !== undefined));
};

test("each outcome is told under one id with one content, and its delivery recorded before it is acknowledged", {
  timeout: 600_000,
}, async () => {
  await forScenarios((scenario) => simulate(scenario, outcomesToWebhooks), { runs: 250 });
});
