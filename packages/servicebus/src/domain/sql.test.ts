import { describe, expect, test } from "vitest";
import type { MessageFields } from "./message.ts";
import { MessageProperties } from "./message-properties.ts";
import { perform } from "./rule.ts";
import { evaluate, isTrue } from "./sql-evaluation.ts";
import type { SqlValue } from "./sql-expression.ts";
import { parseAction, parseFilter } from "./sql-parser.ts";

const message: MessageFields = {
  messageId: "m-1",
  subject: "sports news",
  to: "audience",
  contentType: "text/plain",
  applicationProperties: new Map<string, SqlValue | undefined>([
    ["Color", "blue"],
    ["quantity", 7n],
    ["weight", 2.5],
    ["fresh", true],
    ["stale", false],
    ["nothing", undefined],
    ["big", 2n ** 60n],
    ["sentAt", new Date(1_000)],
    ["seenAt", new Date(1_000)],
    ["Property With Space", "yes"],
    ["a]b", "bracket"],
    ["cloudEvents:type", "x.v1"],
    ["größe", 3n],
    ["rate", "100%"],
    ["name", "O'Brien"],
  ]),
};
const newId = () => "00000000-0000-0000-0000-000000000001";

function resultOf(text: string, parameters = {}) {
  const parsed = parseFilter(text, parameters);
  if (!parsed.ok) throw new Error(parsed.why);
  return evaluate(parsed.value, { properties: new MessageProperties(message), newId });
}

const T = true;
const F = false;
const U = undefined;

describe("a condition is true, false or unknown", () => {
  test.each<[string, boolean | undefined]>([
    ["1=1", T],
    ["1=0", F],
    ["TRUE", T],
    ["false", F],
    ["fresh", T],
    ["stale", F],
    ["missing", U],
    // comparisons
    ["color = 'blue'", T],
    ["COLOR = 'Blue'", F],
    ["user.color <> 'red'", T],
    ["user.color != 'red'", T],
    ["color < 'c'", T],
    ["quantity = 7", T],
    ["quantity = 7.0", T],
    ["quantity < 7.5", T],
    ["quantity <= 7", T],
    ["quantity > 7", F],
    ["quantity >= 8", F],
    ["quantity = 0x7", T],
    ["quantity = 70E-1", T],
    ["weight > 2", T],
    ["-quantity = -7", T],
    ["big = 1152921504606846976", T],
    ["big = 1152921504606846977", F],
    ["sentAt = seenAt", T],
    ["fresh = TRUE", T],
    ["fresh <> stale", T],
    // of kinds that do not compare
    ["color = 7", U],
    ["quantity = '7'", U],
    ["fresh = 'true'", U],
    ["fresh > stale", U],
    ["quantity = NULL", U],
    // system properties
    ["sys.Label = 'sports news'", T],
    ["SYS.label LIKE 'sports%'", T],
    ["sys.Subject = sys.Label", T],
    ["sys.MessageId = 'm-1'", T],
    ["sys.CorrelationId = 'c'", U],
    ["sys.To = 'audience' AND sys.ContentType = 'text/plain'", T],
    // names
    ["[Property With Space] = 'yes'", T],
    ["user.[property with space] = 'yes'", T],
    ["[a]]b] = 'bracket'", T],
    ["\"cloudEvents:type\" = 'x.v1'", T],
    ["größe = 3", T],
    ["name = 'O''Brien'", T],
    // three-valued logic
    ["fresh AND missing = 1", U],
    ["missing = 1 AND stale", F],
    ["stale AND missing = 1", F],
    ["missing = 1 AND missing = 2", U],
    ["fresh OR missing = 1", T],
    ["missing = 1 OR fresh", T],
    ["missing = 1 OR stale", U],
    ["stale OR stale", F],
    ["NOT missing = 1", U],
    ["NOT stale", T],
    ["NOT NOT fresh", T],
    ["NOT stale AND stale", F],
    ["fresh OR stale AND stale", T],
    ["(fresh OR stale) AND stale", F],
    ["quantity = 7 OR quantity = 1 AND color = 'red'", T],
    // IS NULL and EXISTS
    ["missing IS NULL", T],
    ["nothing IS NULL", T],
    ["color IS NULL", F],
    ["color IS NOT NULL", T],
    ["missing IS NOT NULL", F],
    ["sys.CorrelationId IS NULL", T],
    ["EXISTS(color)", T],
    ["exists (user.Missing)", F],
    ["EXISTS(nothing)", T],
    ["NOT EXISTS(missing)", T],
    ["EXISTS(sys.Label)", T],
    // IN
    ["color IN ('red', 'blue')", T],
    ["color IN ('red')", F],
    ["color NOT IN ('red', 'green')", T],
    ["quantity IN (1 + 6)", T],
    ["missing IN (1, 2)", U],
    ["missing NOT IN (1, 2)", U],
    // LIKE
    ["color LIKE 'bl%'", T],
    ["color LIKE '%u%'", T],
    ["color LIKE 'b_ue'", T],
    ["color LIKE 'b_e'", F],
    ["color LIKE ''", F],
    ["color LIKE '%'", T],
    ["color NOT LIKE 'r%'", T],
    ["color LIKE 'B%'", F],
    ["rate LIKE '100\\%' ESCAPE '\\'", T],
    ["rate LIKE '10\\%' ESCAPE '\\'", F],
    ["sys.label LIKE '%s%s%s'", T],
    ["sys.label LIKE '%s%s%s%s%x'", F],
    ["missing LIKE 'a'", U],
    ["quantity LIKE '7'", U],
    ["color LIKE missing", U],
    // functions
    ["property('color') = 'blue'", T],
    ["p('user.' + 'color') = 'blue'", T],
    ["p('sys.Label') = 'sports news'", T],
    ["p('sys.Nothing') IN ('x')", U],
    ["newid() LIKE '%-%-%-%-%'", T],
    // spacing
    ["  quantity=7\n\tAND color='blue'  ", T],
  ])("%s", (text, expected) => {
    expect(resultOf(text)).toBe(expected);
  });
});

describe("arithmetic follows C#", () => {
  test.each<[string, boolean | undefined]>([
    ["7 / 2 = 3", T],
    ["7 / 2.0 = 3.5", T],
    ["quantity / 2 = 3", T],
    ["quantity % 4 = 3", T],
    ["weight * 2 = 5", T],
    ["1 + 2 * 3 = 7", T],
    ["(1 + 2) * 3 = 9", T],
    ["10 - 2 - 3 = 5", T],
    ["2 - -3 = 5", T],
    ["+5 = 5", T],
    ["quantity / 0 = 1", U],
    ["quantity % 0 = 1", U],
    ["missing + 1 = 1", U],
    ["-color = 1", U],
    ["color * 2 = 1", U],
    ["color + '!' = 'blue!'", T],
    ["color + 1 = 'blue1'", T],
    ["9223372036854775807 + 1 < 0", T],
    ["0.0 / 0.0 = 0.0 / 0.0", U],
  ])("%s", (text, expected) => {
    expect(resultOf(text)).toBe(expected);
  });
});

test("parameters stand for their values, with or without the at sign, whatever their case", () => {
  expect(resultOf("color = @c AND quantity > @Min", { "@C": "blue", min: 1n })).toBe(true);
  expect(resultOf("color = @c", { c: "x' OR 1=1" })).toBe(false);
});

describe("what cannot be read is refused with what is wrong and where", () => {
  test.each<[string, RegExp]>([
    ["", /expected a property/],
    ["1", /a value stands where a condition belongs/],
    ["'text'", /a value stands/],
    ["a + 1", /a value stands/],
    ["color = ", /expected a property/],
    ["color = 'blue", /the ' is not closed at character 9/],
    ["[color = 1", /the \[ is not closed/],
    ["color == 1", /expected a property/],
    ["color = 1 2", /expected the end at character 11/],
    ["color = 1 AND", /expected a property/],
    ["(color = 1", /expected \)/],
    ["color = 1)", /expected the end/],
    ["(a = 1) + 2 = 3", /a condition stands where a value belongs/],
    ["(a = 1) = TRUE", /a condition stands/],
    ["1 AND 1=1", /a value stands/],
    ["sys.Nonsense = 1", /sys\.Nonsense is not known/],
    ["sys.constructor = 1", /sys\.constructor is not known/],
    ["other.color = 1", /scope is sys or user/],
    ["color = @missing", /parameter @missing is not given/],
    ["color IS 1", /expected NULL/],
    ["1 IS NULL", /only a property/],
    ["color NOT 1", /expected IN or LIKE/],
    ["color IN ()", /expected a property/],
    ["color IN 1", /expected \(/],
    ["color LIKE 'a' ESCAPE 'ab'", /one character/],
    ["EXISTS(1)", /expected a property/],
    ["concat('a') = 'a'", /no function concat/],
    ["color = 1; DROP", /expected the end/],
    ["12ab = 1", /runs into a name/],
    ["color = 99999999999999999999", /larger than a long/],
    ["color # 1", /"#" has no meaning/],
    ["and = 1", /expected a property/],
    [`${"(".repeat(40)}1=1${")".repeat(40)}`, /more than 32 levels/],
    [`${"NOT ".repeat(200)}a = 1`, /more than 32 levels/],
    [`a = ${"-".repeat(200)}1`, /more than 32 levels/],
    [`a = '${"x".repeat(1024)}'`, /longer than 1024/],
  ])("%s", (text, why) => {
    const parsed = parseFilter(text);
    expect(parsed).toMatchObject({ ok: false, why: expect.stringMatching(why) });
  });
});

test("a long chain of conditions is read and evaluated", () => {
  expect(resultOf(Array.from({ length: 140 }, () => "1=0").join(" OR "))).toBe(false);
});

test("a property that is no boolean makes a condition unknown, and unknown takes no message", () => {
  const parsed = parseFilter("color");
  const evaluation = { properties: new MessageProperties(message), newId };
  expect(parsed.ok && isTrue(parsed.value, evaluation)).toBe(false);
  expect(resultOf("color OR 1=0")).toBe(undefined);
});

test("a pattern full of wildcards takes no more than a moment", () => {
  const began = performance.now();
  const parsed = parseFilter(`color LIKE '${"%a".repeat(200)}b'`);
  const properties = new MessageProperties({ applicationProperties: new Map([["color", "a".repeat(10_000)]]) });
  expect(parsed.ok && evaluate(parsed.value, { properties, newId })).toBe(false);
  expect(performance.now() - began).toBeLessThan(2_000);
});

describe("an action changes properties", () => {
  function changesOf(text: string) {
    const parsed = parseAction(text);
    if (!parsed.ok) throw new Error(parsed.why);
    const properties = new MessageProperties(message);
    perform(parsed.value, properties, newId);
    return { system: [...properties.changes.system], user: [...properties.changes.user] };
  }
  const systemOnly = (...system: [string, unknown][]) => ({ system, user: [] });
  const userOnly = (...user: [string, unknown][]) => ({ system: [], user });

  test.each<[string, unknown]>([
    ["SET color = 'red'", userOnly(["Color", "red"])],
    ["set user.quantity = quantity / 2;", userOnly(["quantity", 3n])],
    ["SET fresher = 1; SET fresher = fresher + 1", userOnly(["fresher", 2n])],
    ["SET a = 1 SET b = a + 1", userOnly(["a", 1n], ["b", 2n])],
    ["SET sys.Label = 'x'; SET label2 = sys.Label", { system: [["subject", "x"]], user: [["label2", "x"]] }],
    ["SET sys.SessionId = quantity", systemOnly(["sessionId", "7"])],
    ["SET sys.To = NULL", systemOnly(["to", undefined])],
    ["REMOVE color", userOnly(["Color", undefined])],
    ["REMOVE missing", userOnly()],
    ["SET color = missing", userOnly(["Color", undefined])],
    ["REMOVE color; SET wasThere = p('color') + '!'", userOnly(["Color", undefined])],
    ["SET id = newid()", userOnly(["id", newId()])],
    ["SET flag = TRUE; SET ratio = 0.5", userOnly(["flag", true], ["ratio", 0.5])],
  ])("%s", (text, expected) => {
    expect(changesOf(text)).toEqual(expected);
  });

  test.each<[string, RegExp]>([
    ["", /needs SET or REMOVE/],
    ["color = 'red'", /expected SET or REMOVE/],
    ["SET color", /expected =/],
    ["SET color = a > 1", /expected SET or REMOVE/],
    ["SET color = (a > 1)", /a condition stands/],
    ["SET 'color' = 1", /expected a property/],
    ["SET sys.Unknown = 1", /not known/],
    ["REMOVE sys.Label", /cannot be removed/],
    ["SET a = 1;".repeat(40), /more than 32 statements/],
  ])("%s is refused", (text, why) => {
    expect(parseAction(text)).toMatchObject({ ok: false, why: expect.stringMatching(why) });
  });
});
