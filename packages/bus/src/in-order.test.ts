import { doneRecord, eventually, storeOutcome } from "@millrace/testkit";
import { expect, it } from "vitest";
import { testRoom } from "./fixtures/room.ts";
import { consumeOutcomes } from "./outcomes.ts";
import { done, type Verdict } from "./verdict.ts";

it("a consumer in order begins where all is acknowledged, and what was under way comes before what follows", async () => {
  await using room = await testRoom();
  const inference = await room.as("inference");
  for (let n = 0; n < 20; n++) await storeOutcome(inference, doneRecord());
  const options = {
    durable: "bridge-sessions",
    in_order: true,
    batch_max: 1,
    concurrency: 4,
    effect: { channel: "test", destination: "test" },
  };
  const first = await room.as("bridge");
  const taken: number[] = [];
  const never = new Promise<Verdict[]>(() => {});
  // 3 is acknowledged, 1, 2, 4 and what follows are not: then its process dies.
  void consumeOutcomes(first, options, async ([outcome]) => {
    taken.push(outcome!.sequence);
    return outcome!.sequence === 3 ? [done()] : await never;
  });
  await eventually(async () => {
    expect(taken.length).toBeGreaterThan(4);
    expect((await room.consumer(options.durable, "OUTCOMES")).num_ack_pending).toBeGreaterThan(4);
  });
  await first.nc.close();

  const seen: number[] = [];
  await using _second = await consumeOutcomes(
    await room.as("bridge"),
    { ...options, concurrency: 1 },
    async (outcomes) => {
      seen.push(...outcomes.map(({ sequence }) => sequence));
      return outcomes.map(() => done());
    },
  );
  // Long before the ack wait of what the first had: nothing waits for that.
  await eventually(() => expect(seen).toHaveLength(20));
  expect(seen).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
}, 60_000);
