import type { RuleDefinition, RuleFilter, SqlText } from "../domain/rule.ts";
import type { RuleSet } from "../domain/rule-set.ts";
import type { SqlValue } from "../domain/sql-expression.ts";
import { type Body, failure, nothingFound, type Operation, ok } from "./management-operation.ts";
import { fromSqlValue, toSqlValue } from "./property-values.ts";
import type { NodeResponse } from "./request-node.ts";
import { type Typed, types } from "./rhea.ts";

/** The rules of a subscription, changed while messages come. */
export const RULE_REQUESTS: Readonly<Record<string, Operation>> = {
  "com.microsoft:add-rule": onRules(addRule),
  "com.microsoft:remove-rule": onRules(removeRule),
  "com.microsoft:enumerate-rules": onRules(enumerateRules),
};

/** Described lists, numbered in the range of "com.microsoft". */
const DESCRIPTORS = {
  ruleDescription: 0x13700000004,
  emptyAction: 0x13700000005,
  sqlAction: 0x13700000006,
  sqlFilter: 0x1370000006,
  trueFilter: 0x1370000007,
  falseFilter: 0x1370000008,
  correlationFilter: 0x1370000009,
} as const;

const MAX_NAME = 50;

function onRules(operation: (rules: RuleSet, body: Body, now: number) => NodeResponse): Operation {
  return ({ namespace, name }, body) => {
    const rules = namespace.rules(name);
    return rules
      ? operation(rules, body, namespace.now())
      : failure(400, "amqp:not-allowed", `${name} is not a subscription: only those have rules.`);
  };
}

function addRule(rules: RuleSet, body: Body, createdAt: number): NodeResponse {
  const name = body["rule-name"];
  const description = body["rule-description"];
  if (typeof name !== "string" || name === "" || name.length > MAX_NAME || !isMap(description)) {
    return invalid(`Expected a rule-name of up to ${MAX_NAME} characters and a rule-description.`);
  }
  const filter = readFilter(description);
  if (!filter) return invalid("Expected a sql-filter, correlation-filter, true-filter or false-filter.");
  const action = readSql(description["sql-rule-action"]);
  const change = rules.add({ name, filter, ...(action?.expression && { action }), createdAt });
  if (change.ok) return ok({});
  if (change.why === "exists") return failure(409, "com.microsoft:entity-already-exists", change.description);
  if (change.why === "too-many") return failure(403, "amqp:resource-limit-exceeded", change.description);
  return invalid(change.description);
}

function removeRule(rules: RuleSet, body: Body): NodeResponse {
  const name = String(body["rule-name"] ?? "");
  if (rules.remove(name)) return ok({});
  // In Azure's words, by which the SDKs tell what is missing.
  return failure(404, "amqp:not-found", `The messaging entity '${name}' could not be found.`);
}

function enumerateRules(rules: RuleSet, body: Body): NodeResponse {
  const skip = Number(body.skip ?? 0);
  const found = rules.list().slice(skip, skip + Number(body.top ?? Number.MAX_SAFE_INTEGER));
  if (found.length === 0) return nothingFound("No rules");
  return ok({ rules: found.map((rule) => ({ "rule-description": describeRule(rule) })) });
}

function readFilter(description: Body): RuleFilter | undefined {
  const sql = readSql(description["sql-filter"]);
  if (sql) return { kind: "sql", ...sql };
  const correlation = description["correlation-filter"];
  if (isMap(correlation)) return readCorrelation(correlation);
  if (description["true-filter"] !== undefined) return { kind: "true" };
  if (description["false-filter"] !== undefined) return { kind: "false" };
  return undefined;
}

function readSql(value: unknown): SqlText | undefined {
  if (!isMap(value) || typeof value.expression !== "string") return undefined;
  return { expression: value.expression };
}

function readCorrelation(filter: Body): RuleFilter {
  const text = (name: string) => (filter[name] == null ? undefined : String(filter[name]));
  const properties = isMap(filter.properties) ? Object.entries(filter.properties) : [];
  return {
    kind: "correlation",
    fields: {
      correlationId: text("correlation-id"),
      messageId: text("message-id"),
      to: text("to"),
      replyTo: text("reply-to"),
      subject: text("label"),
      sessionId: text("session-id"),
      replyToSessionId: text("reply-to-session-id"),
      contentType: text("content-type"),
    },
    applicationProperties: new Map(
      properties
        .map(([name, value]) => [name, toSqlValue(types.wrap(value))] as const)
        .filter((entry): entry is [string, SqlValue] => entry[1] !== undefined),
    ),
  };
}

function describeRule({ name, filter, action, createdAt }: RuleDefinition): Typed {
  return list(DESCRIPTORS.ruleDescription, [
    describeFilter(filter),
    action ? list(DESCRIPTORS.sqlAction, [action.expression]) : list(DESCRIPTORS.emptyAction, []),
    name,
    new Date(createdAt),
  ]);
}

function describeFilter(filter: RuleFilter): Typed {
  switch (filter.kind) {
    case "true":
      return list(DESCRIPTORS.trueFilter, []);
    case "false":
      return list(DESCRIPTORS.falseFilter, []);
    case "sql":
      return list(DESCRIPTORS.sqlFilter, [filter.expression]);
    case "correlation": {
      const { fields, applicationProperties } = filter;
      const properties = [...applicationProperties].flatMap(([key, value]) => [
        types.wrap_string(key),
        fromSqlValue(value),
      ]);
      return list(DESCRIPTORS.correlationFilter, [
        fields.correlationId,
        fields.messageId,
        fields.to,
        fields.replyTo,
        fields.subject,
        fields.sessionId,
        fields.replyToSessionId,
        fields.contentType,
        types.Map32(properties),
      ]);
    }
  }
}

const list = (descriptor: number, values: readonly unknown[]): Typed =>
  types.described(types.wrap_ulong(descriptor), types.wrap_list(values));

const isMap = (value: unknown): value is Body =>
  value !== null && typeof value === "object" && !Array.isArray(value) && !Buffer.isBuffer(value);

const invalid = (description: string) => failure(400, "com.microsoft:argument-error", description);
