import type { RuleDefinition } from "../domain/rule.ts";

/*
 * Rules are stored as JSON. What JSON has no form for is an object with one key that says what it is, `$long` and so on;
 * properties never hold objects themselves.
 */

export function rulesToText(rules: readonly RuleDefinition[]): string {
  return JSON.stringify(rules, function replace(this: Record<string, unknown>, key, value) {
    const original = this[key]; // JSON.stringify would have turned a date into text already
    if (typeof original === "bigint") return { $long: String(original) };
    if (original instanceof Date) return { $date: original.getTime() };
    if (original instanceof Uint8Array) return { $bytes: Buffer.from(original).toString("base64") };
    if (original instanceof Map) return { $map: [...original] };
    return value;
  });
}

export function textToRules(text: string): RuleDefinition[] {
  return JSON.parse(text, (_key, value) => {
    if (value === null || typeof value !== "object") return value;
    if (typeof value.$long === "string") return BigInt(value.$long);
    if (typeof value.$date === "number") return new Date(value.$date);
    if (typeof value.$bytes === "string") return Buffer.from(value.$bytes, "base64");
    if (Array.isArray(value.$map)) return new Map(value.$map);
    return value;
  });
}
