import type { CorrelationRuleFilter, ServiceBusClient, SqlRuleFilter } from "@azure/service-bus";
import { describe, expect, test } from "vitest";
import { configOf, noRenewal, one, openBroker, scratchFolder, some } from "./testing/local-broker.ts";

const rule = (Name: string, properties: object) => ({ Name, Properties: properties });
const config = configOf({
  Topics: [
    {
      Name: "orders",
      Subscriptions: [
        { Name: "open" },
        {
          Name: "sql",
          Rules: [rule("big", { SqlFilter: { SqlExpression: "quantity >= 10 AND sys.Label IN ('a', 'b')" } })],
        },
        {
          Name: "action",
          Rules: [
            rule("everything", { SqlFilter: { SqlExpression: "1=1" } }),
            rule("also", { CorrelationFilter: { Label: "a" } }),
            rule("red", {
              SqlFilter: { SqlExpression: "color = 'red'" },
              Action: { SqlExpression: "SET quantity = quantity / 2; SET sys.To = 'half'; REMOVE color" },
            }),
          ],
        },
      ],
    },
  ],
});
const at = (subscription: string) => `orders/Subscriptions/${subscription}`;

/** Replaces the subscription's only rule, as applications do that begin with the default one. */
async function useFilter(client: ServiceBusClient, filter: SqlRuleFilter | CorrelationRuleFilter): Promise<void> {
  const rules = client.createRuleManager("orders", "open");
  for await (const { name } of rules.listRules()) await rules.deleteRule(name);
  await rules.createRule("only", filter);
}

describe("rules from the configuration", () => {
  test("a SQL filter chooses by application and system properties", async () => {
    await using it = await openBroker(config);
    const sender = it.client.createSender("orders");
    await sender.sendMessages([
      { body: 1, subject: "a", applicationProperties: { quantity: 10 } },
      { body: 2, subject: "a", applicationProperties: { quantity: 9 } },
      { body: 3, subject: "c", applicationProperties: { quantity: 10 } },
      { body: 4, subject: "b", applicationProperties: { quantity: 10.5 } },
      { body: 5, subject: "b" },
    ]);
    const messages = await some(it.client.createReceiver("orders", "sql", noRenewal), 2);
    expect(messages.map(({ body }) => body)).toEqual([1, 4]);
  });

  test("rules without an action give one copy together, each with an action gives one of its own", async () => {
    await using it = await openBroker(config);
    await it.client.createSender("orders").sendMessages({
      body: { kept: "as it was" },
      subject: "a",
      messageId: "m",
      to: "whole",
      applicationProperties: { color: "red", quantity: 7, ratio: 0.5, sentAt: new Date(5_000) },
    });
    const [plain, changed] = await some(it.client.createReceiver("orders", "action", noRenewal), 2);
    expect(it.broker.inspect(at("action")).enqueued).toBe(2);
    expect(plain).toMatchObject({ to: "whole", applicationProperties: { color: "red", quantity: 7 } });
    expect(plain!.applicationProperties).not.toHaveProperty("RuleName");
    expect(changed).toMatchObject({ body: { kept: "as it was" }, subject: "a", messageId: "m", to: "half" });
    expect(changed!.applicationProperties).toEqual({ quantity: 3, ratio: 0.5, sentAt: 5_000, RuleName: "red" });
  });
});

describe("rules changed at run time", () => {
  test("the default rule is listed, and without it nothing comes", async () => {
    await using it = await openBroker(config);
    const rules = it.client.createRuleManager("orders", "open");
    const names: unknown[] = [];
    for await (const { name, filter } of rules.listRules()) names.push({ name, filter });
    expect(names).toEqual([{ name: "$Default", filter: { sqlExpression: "1=1" } }]);
    await rules.deleteRule("$default");
    await it.client.createSender("orders").sendMessages({ body: 1 });
    expect(it.broker.inspect(at("open")).active).toBe(0);
    for await (const page of rules.listRules().byPage()) expect(page ?? []).toEqual([]);
  });

  test("rules come back as they were created, page by page", async () => {
    await using it = await openBroker(config);
    const rules = it.client.createRuleManager("orders", "open");
    await rules.deleteRule("$Default");
    const correlation = { subject: "s", correlationId: "c", applicationProperties: { region: "eu", level: 300 } };
    await rules.createRule("sql", { sqlExpression: "a > 1" }, { sqlExpression: "SET b = 2" });
    await rules.createRule("correlation", correlation);
    const found: unknown[] = [];
    for await (const page of rules.listRules().byPage({ maxPageSize: 1 })) {
      expect(page).toHaveLength(1);
      found.push(...page);
    }
    expect(found).toMatchObject([
      { name: "sql", filter: { sqlExpression: "a > 1" }, action: { sqlExpression: "SET b = 2" } },
      { name: "correlation", filter: correlation },
    ]);
  });

  test("a correlation filter with a property of any kind chooses", async () => {
    await using it = await openBroker(config);
    await useFilter(it.client, {
      subject: "s",
      applicationProperties: { region: "eu", level: 3, open: true, day: new Date(86_400_000) },
    });
    const properties = { region: "eu", level: 3, open: true, day: new Date(86_400_000) };
    await it.client.createSender("orders").sendMessages([
      { body: 1, subject: "s", applicationProperties: properties },
      { body: 2, subject: "t", applicationProperties: properties },
      { body: 3, subject: "s", applicationProperties: { ...properties, level: 4 } },
      { body: 4, subject: "s", applicationProperties: { ...properties, day: new Date(0) } },
      { body: 5, subject: "s" },
    ]);
    expect((await one(it.client.createReceiver("orders", "open", noRenewal))).body).toBe(1);
    expect(it.broker.inspect(at("open")).enqueued).toBe(1);
  });

  test("a filter counts from the next message on", async () => {
    await using it = await openBroker(config);
    const sender = it.client.createSender("orders");
    await sender.sendMessages({ body: 1, applicationProperties: { n: 1 } });
    await useFilter(it.client, { sqlExpression: "n = 2" });
    await sender.sendMessages([
      { body: 1, applicationProperties: { n: 1 } },
      { body: 2, applicationProperties: { n: 2 } },
    ]);
    expect(it.broker.inspect(at("open")).enqueued).toBe(2);
  });

  test("mistakes are refused: a name that is taken, one that is not there, SQL that cannot be read", async () => {
    await using it = await openBroker(config);
    const rules = it.client.createRuleManager("orders", "open");
    await expect(rules.createRule("$default", { sqlExpression: "1=1" })).rejects.toMatchObject({
      code: "MessagingEntityAlreadyExists",
    });
    await expect(rules.deleteRule("none")).rejects.toMatchObject({ code: "MessagingEntityNotFound" });
    await expect(rules.createRule("r", { sqlExpression: "color = 'red" })).rejects.toThrow(/the ' is not closed/);
    await expect(rules.createRule("r", { sqlExpression: "a=1" }, { sqlExpression: "SET" })).rejects.toThrow(/action/);
    await expect(rules.createRule("x".repeat(51), { sqlExpression: "a=1" })).rejects.toThrow(/50 characters/);
  });

  test("changed rules survive a restart, and the configuration's do not come back", async () => {
    await using place = await scratchFolder();
    {
      await using it = await openBroker(config, { dataDir: place.dir });
      await useFilter(it.client, { applicationProperties: { level: 3, day: new Date(86_400_000) } });
      const rules = it.client.createRuleManager("orders", "sql");
      await rules.createRule("more", { sqlExpression: "more" }, { sqlExpression: "SET x = 1" });
    }
    await using it = await openBroker(config, { dataDir: place.dir });
    await it.client.createSender("orders").sendMessages([
      { body: 1, applicationProperties: { level: 3, day: new Date(86_400_000) } },
      { body: 2, applicationProperties: { more: true } },
    ]);
    expect((await one(it.client.createReceiver("orders", "open", noRenewal))).body).toBe(1);
    expect(it.broker.inspect(at("open")).enqueued).toBe(1);
    const more = await one(it.client.createReceiver("orders", "sql", noRenewal));
    expect(more).toMatchObject({ body: 2, applicationProperties: { x: 1, RuleName: "more" } });
  });
});
