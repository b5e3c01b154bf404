import type { OutgoingMessage } from "@millrace/azure";
import type { OutcomeDelivery } from "@millrace/bus";
import type { Route } from "@millrace/contracts";
import { expect, it } from "vitest";
import type { Sent } from "../domain/outbox.ts";
import { doneOutcome } from "../testing/outcome.ts";
import { onOutcomeStored } from "./outcome-stored.ts";

const delivery = (id: string, values = [0.5]): OutcomeDelivery => ({ ...doneOutcome({ id, values }), attempt: 1 });

/** An outbox that answers by script, by message id, and remembers what it was given. */
function scripted(route: Partial<Route> = {}, answers: Record<string, Sent> = {}) {
  const given: OutgoingMessage[] = [];
  const handle = onOutcomeStored({
    route: { name: "all", topic: "predictions", ...route },
    outbox: {
      async send(messages) {
        given.push(...messages);
        return messages.map(({ messageId }) => answers[String(messageId)] ?? { kind: "sent" });
      },
    },
  });
  return { handle, given };
}

const kinds = async (verdicts: Promise<{ kind: string }[]>) => (await verdicts).map(({ kind }) => kind);

it("acknowledges what was sent, fails what is refused, and gives back what the stop left", async () => {
  const { handle } = scripted(
    {},
    {
      "b.1:all": { kind: "refused", why: "larger than 256 bytes" },
      "c.1:all": { kind: "stopped", why: "transient: the link was lost" },
    },
  );
  expect(await handle(["a", "b", "c"].map((id) => delivery(id)))).toEqual([
    { kind: "done", emit: [] },
    { kind: "reject", problem: { code: "delivery-refused", detail: "larger than 256 bytes" } },
    { kind: "retry", retry: "infrastructure", why: "transient: the link was lost" },
  ]);
});

it("acknowledges without effect what the route is not for", async () => {
  const { handle, given } = scripted({ model: "pump", when: { output: "risk", op: ">", value: 0.9 } });
  const other = delivery("c", [0.95]);
  const outcomes = [
    delivery("a", [0.1]),
    delivery("b", [0.95]),
    { ...other, address: { ...other.address, model: "fan" } },
  ];
  expect(await kinds(handle(outcomes))).toEqual(["done", "done", "done"]);
  expect(given.map(({ messageId }) => messageId)).toEqual(["b.1:all"]);
});

it("of an outcome in several messages, settles when all of them are", async () => {
  const route: Partial<Route> = { message: { per: "row" } };
  const refused = scripted(route, { "a.1:all#1": { kind: "refused", why: "too large" } });
  expect(await refused.handle([delivery("a", [1, 2, 3])])).toEqual([
    { kind: "reject", problem: { code: "delivery-refused", detail: "1 of 3 messages: too large" } },
  ]);
  const stopped = scripted(route, { "a.1:all#1": { kind: "stopped", why: "stopping" } });
  expect(await kinds(stopped.handle([delivery("a", [1, 2, 3])]))).toEqual(["retry"]);
});

it("makes no more messages at once than it may, and says of each outcome what became of it", async () => {
  const sends: number[] = [];
  const handle = onOutcomeStored({
    route: { name: "all", topic: "predictions", message: { per: "row" } },
    outbox: {
      async send(messages) {
        sends.push(messages.length);
        return messages.map(({ messageId }) =>
          messageId === "o7.1:all#3" ? { kind: "refused", why: "odd" } : { kind: "sent" },
        );
      },
    },
  });
  const outcomes = Array.from({ length: 20 }, (_, n) =>
    delivery(
      `o${n}`,
      Array.from({ length: 512 }, () => 1),
    ),
  );
  const said = await kinds(handle(outcomes));
  expect(said).toEqual(outcomes.map((_, n) => (n === 7 ? "reject" : "done")));
  expect(sends).toEqual([2_048, 2_048, 2_048, 2_048, 2_048, 0]);
});

it("fails an outcome whose outputs cannot be read, when the route asks for them", async () => {
  const broken = delivery("a");
  const { handle } = scripted({ when: { output: "risk", op: ">", value: 0 } });
  const record = { ...broken.record, outputs: [{ name: "risk", datatype: "FP32", shape: [1], data: ["x"] }] };
  expect(await kinds(handle([{ ...broken, record } as OutcomeDelivery]))).toEqual(["reject"]);
});
