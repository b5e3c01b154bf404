import { freshRequestId, OUTCOMES, outcomesOf, problem } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { natsServer } from "@millrace/testkit";
import { expect, test } from "vitest";
import { connectBus } from "./bus.ts";
import type { Delivery } from "./delivery.ts";
import { deadLetterOf, outcomeMessage } from "./outcome-message.ts";
import { provision } from "./provision.ts";

test("of a result and a dead letter of one request, from two workers at once, one is stored", async () => {
  await using server = await natsServer();
  await using workers = new AsyncDisposableStack();
  const connect = async (user: string) => {
    const password = server.passwordOf(user);
    const log = createLogger("outcome-message-test", "fatal");
    return workers.use(await connectBus({ url: server.url, user, password, log }));
  };
  const [one, other] = [await connect("inference"), await connect("inference")];
  const operator = await connect("operator");
  await provision(operator, { replicas: 1 });

  const stored = await Promise.all(
    Array.from({ length: 60 }, async (_, index) => {
      const of = { tenant: "acme", project: "plant", model: "pump", id: freshRequestId() };
      const delivery: Delivery = {
        subject: `req.tensor.normal.${of.tenant}.${of.project}.${of.model}.${of.id}`,
        body: Buffer.from("{}"),
        header: () => undefined,
        stream: "REQUESTS_TENSOR",
        sequence: index + 1,
        deliveries: 21,
        attempt: 1,
        stored_at: new Date(),
      };
      const done = outcomeMessage(one, of, {
        state: "done",
        attempt: 1,
        answers: 0,
        request: delivery,
        body: { bytes: Buffer.from("{}") },
        source: { correlationid: of.id },
        replyTo: undefined,
      });
      const dead = deadLetterOf(other, delivery, problem("poison-message", "delivered 21 times").problem);
      const both = index % 2 === 0 ? [one.store(done), other.store(dead)] : [other.store(dead), one.store(done)];
      return (await Promise.all(both)).filter((answer) => answer.stored).length;
    }),
  );
  expect(stored).toEqual(stored.map(() => 1));
  const { state } = await operator.jsm.streams.info(OUTCOMES.name, { subjects_filter: outcomesOf({ model: "pump" }) });
  expect(Object.keys(state.subjects ?? {})).toHaveLength(60);
});
