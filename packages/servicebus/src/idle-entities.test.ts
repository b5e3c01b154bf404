import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { readOffered } from "./adapters/sections.ts";
import { volatileJournal } from "./domain/journal.ts";
import { Namespace } from "./domain/namespace.ts";
import { EntityCatalog } from "./entity-catalog.ts";
import { IdleEntities } from "./idle-entities.ts";
import { configOf } from "./testing/local-broker.ts";

const MINUTE = 60_000;
const Properties = { AutoDeleteOnIdle: "PT10M" };
const config = configOf({
  Queues: [{ Name: "idle", Properties }, { Name: "stays" }, { Name: "source", Properties: { ForwardTo: "goal" } }],
  Topics: [
    { Name: "news", Subscriptions: [{ Name: "idle", Properties }, { Name: "stays" }] },
    { Name: "goal", Properties },
  ],
});
const message = {
  content: Buffer.alloc(1),
  fields: () => ({ applicationProperties: new Map() }),
  changed: () => message,
};

function open() {
  const clock = { now: 1_000_000 };
  const now = () => clock.now;
  const catalog = new EntityCatalog({ config, changes: [], now, keep() {}, forgetChanges() {} });
  const around = { now, newLockToken: () => randomUUID(), journal: volatileJournal, read: readOffered };
  const namespace = new Namespace(catalog.plan(), around);
  catalog.govern(namespace);
  const send = (scheduledFor?: number) =>
    namespace.routing.send(namespace.target("idle")!, [
      { ...message, ...(scheduledFor !== undefined && { scheduledFor }) },
    ]);
  return { clock, namespace, send, idle: new IdleEntities({ catalog, namespace, now }) };
}

test("what nobody has used for its time is deleted, unless others forward to it; what has no such time stays", () => {
  const { clock, namespace, idle } = open();
  clock.now += 10 * MINUTE - 1;
  expect(idle.remove()).toEqual([]);
  clock.now += 1;
  expect(idle.remove()).toEqual(["news/Subscriptions/idle", "idle"]);
  expect(namespace.queue("idle")).toBeUndefined();
  expect(namespace.queue("news/Subscriptions/stays")).toBeDefined();
  expect(idle.remove()).toEqual([]);
});

test("sending, receiving and messages that wait for their time are use", () => {
  const { clock, namespace, send, idle } = open();
  clock.now += 6 * MINUTE;
  send();
  namespace.queue("news/Subscriptions/idle")!.use();
  clock.now += 6 * MINUTE;
  expect(idle.remove()).toEqual([]);
  send(clock.now + 60 * MINUTE);
  clock.now += 59 * MINUTE;
  expect(idle.remove()).toEqual(["news/Subscriptions/idle"]);
  clock.now += 2 * MINUTE;
  namespace.routing.releaseScheduled();
  expect(idle.remove()).toEqual(["idle"]);
});
