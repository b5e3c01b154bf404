import { freshRequestId } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { natsServer } from "@millrace/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Bus, connectBus } from "./bus.ts";
import type { Outgoing } from "./outgoing.ts";
import { provision } from "./provision.ts";

let server: Awaited<ReturnType<typeof natsServer>>;
let bus: Bus;
beforeAll(async () => {
  server = await natsServer();
  const log = createLogger("commit-test", "fatal");
  bus = await connectBus({ url: server.url, user: "operator", password: server.passwordOf("operator"), log });
  await provision(bus, { replicas: 1 });
});
afterAll(async () => {
  await bus[Symbol.asyncDispose]();
  await server.close();
});

const outgoing = (id: string, state: "done" | "dead" = "done"): Outgoing => ({
  subject: `out.a.b.m.${id}.${state}`,
  exclusive: `out.a.b.m.${id}.*`,
  body: Buffer.from("{}"),
  envelope: { id, type: "t", source: "s", subject: "s", time: "t", datacontenttype: "c", correlationid: "c" },
});
const storedUnder = async (id: string) =>
  Object.keys((await bus.jsm.streams.info("OUTCOMES", { subjects_filter: `out.a.b.m.${id}.*` })).state.subjects ?? {});

it("stores concurrent messages as batches and says where each one stands", async () => {
  const ids = Array.from({ length: 600 }, () => freshRequestId());
  const stored = await Promise.all(ids.map((id) => bus.store(outgoing(id))));
  const sequences = stored.map((one) => (one.stored ? one.sequence : Number.NaN));
  expect(new Set(sequences).size).toBe(600);
  for (const index of [0, 255, 256, 599]) {
    const message = await bus.jsm.streams.getMessage("OUTCOMES", { seq: sequences[index]! });
    expect(message.subject).toBe(`out.a.b.m.${ids[index]}.done`);
  }
});

it("lets done and dead of one id exclude each other, also when they arrive together", async () => {
  const ids = Array.from({ length: 100 }, () => freshRequestId());
  const both = ids.flatMap((id) => [outgoing(id, "done"), outgoing(id, "dead")]);
  const stored = await Promise.all(both.map((message) => bus.store(message)));
  expect(stored.filter((one) => one.stored)).toHaveLength(100);
  for (const id of ids) expect(await storedUnder(id)).toHaveLength(1);
});

it("stores the rest of a batch when one of it exists", async () => {
  const taken = freshRequestId();
  await bus.store(outgoing(taken, "dead"));
  const ids = [freshRequestId(), taken, freshRequestId()];
  const stored = await Promise.all(ids.map((id) => bus.store(outgoing(id))));
  expect(stored.map((one) => one.stored)).toEqual([true, false, true]);
  expect(await storedUnder(taken)).toEqual([`out.a.b.m.${taken}.dead`]);
});

it("keeps two connections that write the same ids to one outcome each", async () => {
  const log = createLogger("commit-test", "fatal");
  await using other = await connectBus({
    url: server.url,
    user: "inference",
    password: server.passwordOf("inference"),
    log,
  });
  const ids = Array.from({ length: 300 }, () => freshRequestId());
  const stored = await Promise.all(
    ids.flatMap((id) => [bus.store(outgoing(id, "done")), other.store(outgoing(id, "dead"))]),
  );
  expect(stored.filter((one) => one.stored)).toHaveLength(300);
  for (const id of ids) expect(await storedUnder(id)).toHaveLength(1);
});
