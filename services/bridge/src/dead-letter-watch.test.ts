import { EVENTS, type ServiceBusDeadLettered } from "@millrace/contracts";
import { eventually } from "@millrace/testkit";
import { expect, it } from "vitest";
import { type Inbound, inbound, request } from "./testing/inbound.ts";

/* What the bridge says of dead letters: by the real SDK, with and without the right to count them. */
const events = async ({ operator }: Inbound): Promise<ServiceBusDeadLettered[]> => {
  const { state } = await operator.jsm.streams.info(EVENTS.name);
  const found: ServiceBusDeadLettered[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await operator.jsm.streams.getMessage(EVENTS.name, { seq });
    if (message.subject.startsWith("evt._._.servicebus.")) found.push(message.json());
  }
  return found;
};
const poison = (...ids: string[]) => ids.map((id) => request(id, { applicationProperties: {} }));
const gauge = async (healthUrl: string) =>
  /^millrace_servicebus_dead_letters\{.*entity="requests".*\} (\d+)$/m.exec(
    await (await fetch(`${healthUrl}/metrics`)).text(),
  )?.[1];

it("says it in a metric and in one event each time there are more, whoever of two replicas sees it first", async () => {
  await using around = await inbound();
  await around.startIngest();
  const every = { DEAD_LETTERS_EVERY_S: "1" };
  const trusting = { ...every, NODE_EXTRA_CA_CERTS: around.tls.certificateFile };
  const [first, second] = await Promise.all([around.startBridge(every), around.startBridge(trusting)]);
  await eventually(async () => expect(await gauge(first.healthUrl)).toBe("0"));
  await around.send("requests", poison("a", "b"));
  await eventually(async () => expect((await events(around)).at(-1)).toMatchObject({ count: 2 }));
  for (const { healthUrl } of [first, second]) await eventually(async () => expect(await gauge(healthUrl)).toBe("2"));
  const before = (await events(around)).length;
  await around.send("requests", poison("c"));
  await eventually(async () => expect((await events(around)).at(-1)).toMatchObject({ count: 3 }));
  for (const { healthUrl } of [first, second]) await eventually(async () => expect(await gauge(healthUrl)).toBe("3"));
  const all = await events(around);
  expect(all).toHaveLength(before + 1);
  expect(all.at(-1)).toMatchObject({
    entity: "requests",
    before: 2,
    at_least: false,
    reasons: { "invalid-property": 3 },
    sample_message_ids: ["a", "b", "c"],
  });
}, 90_000);
