import { freshRequestId } from "@millrace/contracts";
import { doneRecord, storeOutcome } from "@millrace/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectAs, eventually, type Ingest, startIngest } from "../testing/ingest.ts";
import { openLiveOutcomes } from "./live-outcomes.ts";

const stack = new AsyncDisposableStack();
let ingest: Ingest;
beforeAll(async () => {
  ingest = stack.use(await startIngest());
});
afterAll(() => stack.disposeAsync());

const ids = (count: number) => Array.from({ length: count }, () => freshRequestId());

/** A connection of its own, so that what it receives can be counted. */
async function listenTo(wanted: readonly string[]) {
  await using opening = new AsyncDisposableStack();
  const bus = opening.use(await connectAs(ingest.nats, "ingest"));
  const live = openLiveOutcomes(bus);
  const heard: string[] = [];
  const { tenant, project, model } = doneRecord();
  const listening = wanted.map((id) =>
    live.listen({ tenant, project, model: model.name, id }, ({ record }) => heard.push(record.id)),
  );
  await bus.nc.flush();
  const owned = opening.move();
  return {
    heard,
    listening,
    flush: () => bus.nc.flush(),
    received: () => bus.nc.stats().inMsgs,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
const store = (all: readonly string[]) =>
  Promise.all(all.map((id) => storeOutcome(ingest.inference, doneRecord({ id }))));

test("few who wait receive what they wait for, and nothing else", async () => {
  const wanted = ids(3);
  await using few = await listenTo(wanted);
  const before = few.received();
  await store([...ids(20), ...wanted]);
  await eventually("all three", () => (few.heard.length === 3 ? true : undefined));
  await few.flush();
  expect(few.heard.sort()).toEqual(wanted.sort());
  expect(few.received() - before).toBe(3);
});

test("many who wait for one model share: each is heard once, and when the last has left, nothing more comes", async () => {
  const wanted = ids(50);
  await using many = await listenTo(wanted);
  await store([...ids(20), ...wanted]);
  await eventually("all fifty", () => (many.heard.length >= 50 ? true : undefined));
  await many.flush();
  expect(many.heard.sort()).toEqual(wanted.sort());

  for (const one of many.listening) one[Symbol.dispose]();
  await many.flush();
  const before = many.received();
  await store(ids(20));
  await many.flush();
  expect(many.received() - before).toBe(0);
});

test("one who leaves does not end what the others share", async () => {
  const wanted = ids(12);
  await using many = await listenTo(wanted);
  many.listening[11]![Symbol.dispose]();
  many.listening[0]![Symbol.dispose]();
  await store(wanted);
  await eventually("ten", () => (many.heard.length >= 10 ? true : undefined));
  expect(many.heard.sort()).toEqual(wanted.slice(1, 11).sort());
});
