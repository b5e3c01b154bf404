import type { MessageFields } from "./message.ts";

/** A subscription takes a message when any of its rules matches. */
export type Rule =
  | { readonly name: string; readonly kind: "true" }
  | {
      readonly name: string;
      readonly kind: "correlation";
      readonly fields: Partial<Omit<MessageFields, "applicationProperties">>;
      readonly applicationProperties: Readonly<Record<string, unknown>>;
    };

/** Every field and property a correlation rule names must be equal; one it does not name is not looked at. */
export function matches(rules: readonly Rule[], fields: () => MessageFields): boolean {
  return rules.some((rule) => {
    if (rule.kind === "true") return true;
    const message = fields();
    const named = Object.entries(rule.fields) as [keyof typeof rule.fields, string][];
    return (
      named.every(([name, value]) => message[name] === value) &&
      Object.entries(rule.applicationProperties).every(
        ([name, value]) => String(message.applicationProperties[name]) === String(value),
      )
    );
  });
}
