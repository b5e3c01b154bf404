import type { MessageFields } from "./message.ts";
import type { MessageProperties } from "./message-properties.ts";
import { type Evaluation, equals, evaluate, isTrue } from "./sql-evaluation.ts";
import type { SqlStatement, SqlValue, SystemProperty } from "./sql-expression.ts";
import { type Parsed, parseAction, parseFilter, type SqlParameters } from "./sql-parser.ts";

export interface SqlText {
  readonly expression: string;
  readonly parameters?: SqlParameters;
}

export type RuleFilter =
  | { readonly kind: "true" }
  | { readonly kind: "false" }
  | {
      readonly kind: "correlation";
      readonly fields: Partial<Omit<MessageFields, "applicationProperties">>;
      readonly applicationProperties: ReadonlyMap<string, SqlValue>;
    }
  | ({ readonly kind: "sql" } & SqlText);

/** A rule as it is written down. */
export interface RuleDefinition {
  readonly name: string;
  readonly filter: RuleFilter;
  readonly action?: SqlText;
  readonly createdAt: number;
}

/** A rule that can be asked. */
export interface Rule {
  readonly definition: RuleDefinition;
  /** Takes every message, so that none needs to be looked at. */
  readonly always: boolean;
  accepts(properties: MessageProperties, newId: () => string): boolean;
  readonly statements: readonly SqlStatement[] | undefined;
}

const ALWAYS = /^\s*(1\s*=\s*1|true)\s*$/i;

/** A rule is refused when its SQL cannot be read, with what is wrong. */
export function compileRule(definition: RuleDefinition): Parsed<Rule> {
  const { filter, action } = definition;
  const statements = action && parseAction(action.expression, action.parameters);
  if (statements && !statements.ok) return { ok: false, why: `the action cannot be read: ${statements.why}` };
  const rule = { definition, always: false, statements: statements?.value };
  switch (filter.kind) {
    case "true":
      return { ok: true, value: { ...rule, always: true, accepts: () => true } };
    case "false":
      return { ok: true, value: { ...rule, accepts: () => false } };
    case "correlation":
      return { ok: true, value: { ...rule, accepts: (properties) => correlates(filter, properties) } };
    case "sql": {
      const condition = parseFilter(filter.expression, filter.parameters);
      if (!condition.ok) return { ok: false, why: `the filter cannot be read: ${condition.why}` };
      const accepts = (properties: MessageProperties, newId: () => string) =>
        isTrue(condition.value, { properties, newId });
      return { ok: true, value: { ...rule, always: ALWAYS.test(filter.expression), accepts } };
    }
  }
}

/** Every field and property a correlation filter names must be equal; one it does not name is not looked at. */
function correlates(filter: RuleFilter & { kind: "correlation" }, properties: MessageProperties): boolean {
  for (const [name, value] of Object.entries(filter.fields)) {
    if (value !== undefined && properties.system(name as SystemProperty) !== value) return false;
  }
  for (const [name, value] of filter.applicationProperties) {
    if (!equals(properties.user(name), value)) return false;
  }
  return true;
}

/** Statements see what those before them changed. */
export function perform(statements: readonly SqlStatement[], properties: MessageProperties, newId: () => string): void {
  const evaluation: Evaluation = { properties, newId };
  for (const statement of statements) {
    if (statement.kind === "set") properties.set(statement.property, evaluate(statement.value, evaluation));
    else properties.remove(statement.property.name);
  }
}
