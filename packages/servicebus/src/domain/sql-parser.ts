import {
  type ArithmeticOperator,
  type ComparisonOperator,
  type PropertyReference,
  type SqlExpression,
  type SqlStatement,
  type SqlValue,
  SYSTEM_PROPERTIES,
} from "./sql-expression.ts";
import { SqlSyntaxError, type Token, tokenize } from "./sql-lexer.ts";

export type SqlParameters = Readonly<Record<string, SqlValue | undefined>>;
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string };

/** Azure's limit on the length of a filter or action. */
const MAX_LENGTH = 1024;
const MAX_DEPTH = 32;
const MAX_STATEMENTS = 32;

/** Reads the condition of a SQL filter. `parameters` have their names with or without `@`. */
export function parseFilter(text: string, parameters: SqlParameters = {}): Parsed<SqlExpression> {
  return parse(text, parameters, (parser) => parser.wholeCondition());
}

/** Reads the statements of a SQL action. */
export function parseAction(text: string, parameters: SqlParameters = {}): Parsed<readonly SqlStatement[]> {
  return parse(text, parameters, (parser) => parser.wholeAction());
}

function parse<T>(text: string, parameters: SqlParameters, read: (parser: Parser) => T): Parsed<T> {
  if (text.length > MAX_LENGTH) return { ok: false, why: `it is longer than ${MAX_LENGTH} characters` };
  try {
    return { ok: true, value: read(new Parser(tokenize(text), parameters)) };
  } catch (error) {
    if (error instanceof SqlSyntaxError) return { ok: false, why: error.message };
    throw error;
  }
}

const COMPARISONS: Readonly<Record<string, ComparisonOperator>> = {
  "=": "=",
  "<>": "<>",
  "!=": "<>",
  "<": "<",
  "<=": "<=",
  ">": ">",
  ">=": ">=",
};

const CONDITIONS = new Set(["comparison", "and", "or", "not", "is-null", "exists", "in", "like"]);

/**
 * Recursive descent; from loosest to tightest: OR, AND, NOT, comparisons, sums, products, signs. One grammar reads both
 * conditions and values, because a parenthesis may open either; what stands where the other belongs is refused.
 */
class Parser {
  readonly #tokens: readonly Token[];
  readonly #parameters: ReadonlyMap<string, SqlValue | undefined>;
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[], parameters: SqlParameters) {
    this.#tokens = tokens;
    this.#parameters = new Map(
      Object.entries(parameters).map(([name, value]) => [name.replace(/^@/, "").toLowerCase(), value]),
    );
  }

  wholeCondition(): SqlExpression {
    const condition = this.#condition(this.#or());
    this.#expectEnd();
    return condition;
  }

  wholeAction(): SqlStatement[] {
    const statements: SqlStatement[] = [];
    while (this.#next.kind !== "end") {
      if (statements.length === MAX_STATEMENTS) this.#fail(`more than ${MAX_STATEMENTS} statements`);
      statements.push(this.#statement());
      this.#takeSymbol(";"); // Azure: "semicolon is optional"
    }
    if (statements.length === 0) this.#fail("an action needs SET or REMOVE");
    return statements;
  }

  #statement(): SqlStatement {
    if (this.#takeKeyword("set")) {
      const property = this.#property();
      this.#expectSymbol("=");
      return { kind: "set", property, value: this.#value(this.#sum()) };
    }
    if (this.#takeKeyword("remove")) {
      const property = this.#property();
      if (property.scope === "sys") this.#fail("a system property cannot be removed");
      return { kind: "remove", property };
    }
    return this.#fail("expected SET or REMOVE");
  }

  #or(): SqlExpression {
    let left = this.#and();
    while (this.#takeKeyword("or")) {
      left = { kind: "or", left: this.#condition(left), right: this.#condition(this.#and()) };
    }
    return left;
  }

  #and(): SqlExpression {
    let left = this.#not();
    while (this.#takeKeyword("and")) {
      left = { kind: "and", left: this.#condition(left), right: this.#condition(this.#not()) };
    }
    return left;
  }

  #not(): SqlExpression {
    if (!this.#takeKeyword("not")) return this.#predicate();
    return this.#deeper(() => ({ kind: "not", operand: this.#condition(this.#not()) }));
  }

  #predicate(): SqlExpression {
    const left = this.#sum();
    const comparison = this.#next.kind === "symbol" ? COMPARISONS[this.#next.text] : undefined;
    if (comparison) {
      this.#at++;
      return { kind: "comparison", operator: comparison, left: this.#value(left), right: this.#value(this.#sum()) };
    }
    if (this.#takeKeyword("is")) return this.#isNull(left);
    const negated = this.#takeKeyword("not");
    if (this.#takeKeyword("in")) return negate(negated, this.#in(left));
    if (this.#takeKeyword("like")) return negate(negated, this.#like(left));
    if (negated) this.#fail("expected IN or LIKE after NOT");
    return left;
  }

  #isNull(left: SqlExpression): SqlExpression {
    const negated = this.#takeKeyword("not");
    if (!this.#takeKeyword("null")) this.#fail("expected NULL after IS");
    if (left.kind !== "property") this.#fail("only a property can be tested with IS NULL");
    return negate(negated, { kind: "is-null", property: left });
  }

  #in(left: SqlExpression): SqlExpression {
    this.#expectSymbol("(");
    const list = [this.#value(this.#sum())];
    while (this.#takeSymbol(",")) list.push(this.#value(this.#sum()));
    this.#expectSymbol(")");
    return { kind: "in", left: this.#value(left), list };
  }

  #like(left: SqlExpression): SqlExpression {
    const pattern = this.#value(this.#sum());
    const mark = this.#takeKeyword("escape") ? this.#value(this.#sum()) : undefined;
    if (mark?.kind === "constant" && !(typeof mark.value === "string" && mark.value.length === 1)) {
      this.#fail("ESCAPE takes one character");
    }
    return { kind: "like", left: this.#value(left), pattern, escape: mark };
  }

  #sum(): SqlExpression {
    let left = this.#product();
    for (let operator = this.#takeOneOf("+", "-"); operator; operator = this.#takeOneOf("+", "-")) {
      left = { kind: "arithmetic", operator, left: this.#value(left), right: this.#value(this.#product()) };
    }
    return left;
  }

  #product(): SqlExpression {
    let left = this.#signed();
    for (let operator = this.#takeOneOf("*", "/", "%"); operator; operator = this.#takeOneOf("*", "/", "%")) {
      left = { kind: "arithmetic", operator, left: this.#value(left), right: this.#value(this.#signed()) };
    }
    return left;
  }

  #signed(): SqlExpression {
    const sign = this.#takeOneOf("+", "-");
    if (!sign) return this.#primary();
    const operand = this.#deeper(() => this.#value(this.#signed()));
    return sign === "-" ? { kind: "negative", operand } : operand;
  }

  #primary(): SqlExpression {
    const token = this.#next;
    if (token.kind === "constant") {
      this.#at++;
      return { kind: "constant", value: token.value };
    }
    if (token.kind === "parameter") return this.#parameter(token.text);
    if (this.#takeKeyword("true")) return { kind: "constant", value: true };
    if (this.#takeKeyword("false")) return { kind: "constant", value: false };
    if (this.#takeKeyword("null")) return { kind: "constant", value: undefined };
    if (this.#takeKeyword("exists")) {
      this.#expectSymbol("(");
      const property = this.#property();
      this.#expectSymbol(")");
      return { kind: "exists", property };
    }
    if (this.#takeSymbol("(")) {
      const inner = this.#deeper(() => this.#or());
      this.#expectSymbol(")");
      return inner;
    }
    if (token.kind === "name" && !token.quoted && this.#isSymbol(this.#tokens[this.#at + 1], "(")) {
      return this.#function(token.text.toLowerCase());
    }
    return this.#property();
  }

  #function(name: string): SqlExpression {
    if (name !== "newid" && name !== "property" && name !== "p") this.#fail(`there is no function ${name}`);
    this.#at += 2;
    if (name === "newid") {
      this.#expectSymbol(")");
      return { kind: "new-id" };
    }
    const argument = this.#deeper(() => this.#value(this.#sum()));
    this.#expectSymbol(")");
    return { kind: "property-named", name: argument };
  }

  #parameter(text: string): SqlExpression {
    const name = text.slice(1).toLowerCase();
    if (!this.#parameters.has(name)) this.#fail(`the parameter ${text} is not given`);
    this.#at++;
    return { kind: "constant", value: this.#parameters.get(name) };
  }

  #property(): PropertyReference {
    const first = this.#name();
    if (!this.#takeSymbol(".")) return { kind: "property", scope: "user", name: first };
    const scope = first.toLowerCase();
    if (scope === "user") return { kind: "property", scope, name: this.#name() };
    if (scope !== "sys") this.#fail(`a property's scope is sys or user, not ${first}`);
    const name = this.#name();
    const known = systemProperty(name);
    if (!known) this.#fail(`sys.${name} is not known here; known are ${Object.keys(SYSTEM_PROPERTIES).join(", ")}`);
    return { kind: "property", scope, name: known };
  }

  #name(): string {
    const token = this.#next;
    if (token.kind !== "name") return this.#fail("expected a property");
    this.#at++;
    return token.text;
  }

  #value(expression: SqlExpression): SqlExpression {
    if (CONDITIONS.has(expression.kind)) this.#fail("a condition stands where a value belongs, before the text");
    return expression;
  }

  #condition(expression: SqlExpression): SqlExpression {
    const { kind } = expression;
    const mayBeTrue = kind === "property" || kind === "property-named";
    if (CONDITIONS.has(kind) || mayBeTrue) return expression;
    if (kind === "constant" && typeof expression.value === "boolean") return expression;
    return this.#fail("a value stands where a condition belongs, before the text");
  }

  /** Input is short, but each of its characters could open a level: the stack is ours to protect. */
  #deeper<T>(read: () => T): T {
    if (++this.#depth > MAX_DEPTH) this.#fail(`more than ${MAX_DEPTH} levels`);
    const result = read();
    this.#depth--;
    return result;
  }

  get #next(): Token {
    return this.#tokens[this.#at]!;
  }

  #isSymbol(token: Token | undefined, text: string): boolean {
    return token?.kind === "symbol" && token.text === text;
  }

  #takeSymbol(text: string): boolean {
    const taken = this.#isSymbol(this.#next, text);
    if (taken) this.#at++;
    return taken;
  }

  #takeOneOf<T extends ArithmeticOperator>(...symbols: readonly T[]): T | undefined {
    return symbols.find((symbol) => this.#takeSymbol(symbol));
  }

  #takeKeyword(text: string): boolean {
    const token = this.#next;
    const taken = token.kind === "keyword" && token.text === text;
    if (taken) this.#at++;
    return taken;
  }

  #expectSymbol(text: string): void {
    if (!this.#takeSymbol(text)) this.#fail(`expected ${text}`);
  }

  #expectEnd(): void {
    if (this.#next.kind !== "end") this.#fail("expected the end");
  }

  #fail(why: string): never {
    throw new SqlSyntaxError(why, this.#next.at);
  }
}

/** Three-valued logic makes NOT of an unknown unknown, which is what NOT IN and NOT LIKE of one are as well. */
const negate = (negated: boolean, operand: SqlExpression): SqlExpression =>
  negated ? { kind: "not", operand } : operand;

/** The property that goes by that name in SQL, without case. */
export function systemProperty(name: string) {
  const key = name.toLowerCase();
  return Object.hasOwn(SYSTEM_PROPERTIES, key) ? SYSTEM_PROPERTIES[key as keyof typeof SYSTEM_PROPERTIES] : undefined;
}
