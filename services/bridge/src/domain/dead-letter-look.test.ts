import { expect, it } from "vitest";
import { entityToken, newsOf, watchedEntities } from "./dead-letter-look.ts";

it("watches each queue and subscription of the file once", () => {
  expect(
    watchedEntities({
      routes: [
        { name: "a", queue: "Alerts" },
        { name: "b", topic: "predictions" },
      ],
      sources: [
        { name: "c", queue: "alerts", tenant: "acme", project: "plant" },
        { name: "d", topic: "readings", subscription: "millrace", tenant: "acme", project: "plant" },
      ],
      entities: [{ topic: "predictions", subscriptions: [{ name: "enterprise" }] }, { queue: "other" }],
    }),
  ).toEqual([
    { queue: "alerts" },
    { topic: "readings", subscription: "millrace" },
    { topic: "predictions", subscription: "enterprise" },
    { queue: "other" },
  ]);
});

it("is news when there are more, with reasons and the last ids, of bounded length", () => {
  const sample = Array.from({ length: 30 }, (_, n) => ({
    messageId: `${n}-${"x".repeat(500)}`,
    deadLetterReason: n % 3 === 0 ? "poison" : undefined,
    state: "active" as const,
  }));
  const look = { entity: { queue: "orders" }, count: 30, atLeast: false, sample };
  const of = { namespace: "ns", at: "2026-01-01T00:00:00.000Z" };
  expect(newsOf(look, { ...of, before: 30 })).toBeUndefined();
  const news = newsOf(look, { ...of, before: 29 });
  expect(news).toMatchObject({ entity: "orders", count: 30, before: 29, reasons: { poison: 10, none: 20 } });
  expect(news!.sample_message_ids).toHaveLength(10);
  expect(news!.sample_message_ids.at(-1)).toHaveLength(128);
});

it("names an entity by a subject token, whatever its case", () => {
  expect(entityToken({ topic: "A/b", subscription: "c.d" })).toMatch(/^[0-9a-f]{32}$/);
  expect(entityToken({ queue: "Orders" })).toBe(entityToken({ queue: "orders" }));
});
