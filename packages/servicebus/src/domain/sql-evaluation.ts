import { fitsPattern } from "./like-pattern.ts";
import type {
  ArithmeticOperator,
  ComparisonOperator,
  SqlExpression,
  SqlProperties,
  SqlValue,
} from "./sql-expression.ts";
import { systemProperty } from "./sql-parser.ts";

/** What evaluation needs from outside. */
export interface Evaluation {
  readonly properties: SqlProperties;
  readonly newId: () => string;
}

/** A filter takes a message when its condition is true; unknown is not true. */
export function isTrue(condition: SqlExpression, evaluation: Evaluation): boolean {
  return evaluate(condition, evaluation) === true;
}

/** The value of an expression; `undefined` is SQL's unknown, and what is null. */
export function evaluate(expression: SqlExpression, evaluation: Evaluation): SqlValue | undefined {
  const of = (operand: SqlExpression) => evaluate(operand, evaluation);
  switch (expression.kind) {
    case "constant":
      return expression.value;
    case "property":
      return expression.scope === "sys"
        ? evaluation.properties.system(expression.name)
        : evaluation.properties.user(expression.name);
    case "property-named":
      return named(of(expression.name), evaluation.properties);
    case "new-id":
      return evaluation.newId();
    case "negative":
      return negative(of(expression.operand));
    case "arithmetic":
      return calculate(expression.operator, of(expression.left), of(expression.right));
    case "comparison":
      return compare(expression.operator, of(expression.left), of(expression.right));
    case "and": {
      const left = truth(of(expression.left));
      if (left === false) return false;
      const right = truth(of(expression.right));
      return right === false ? false : left && right;
    }
    case "or": {
      const left = truth(of(expression.left));
      if (left === true) return true;
      const right = truth(of(expression.right));
      return right === true ? true : left === false ? right : undefined;
    }
    case "not": {
      const operand = truth(of(expression.operand));
      return operand === undefined ? undefined : !operand;
    }
    case "is-null":
      return of(expression.property) === undefined;
    case "exists":
      return evaluation.properties.has(expression.property);
    case "in": {
      const left = of(expression.left);
      return left === undefined ? undefined : expression.list.some((item) => compare("=", left, of(item)) === true);
    }
    case "like": {
      const text = of(expression.left);
      const pattern = of(expression.pattern);
      const mark = expression.escape && of(expression.escape);
      if (typeof text !== "string" || typeof pattern !== "string") return undefined;
      if (expression.escape && !(typeof mark === "string" && mark.length === 1)) return undefined;
      return fitsPattern(text, pattern, mark as string | undefined);
    }
  }
}

const truth = (value: SqlValue | undefined): boolean | undefined => (typeof value === "boolean" ? value : undefined);

function named(name: SqlValue | undefined, properties: SqlProperties): SqlValue | undefined {
  if (typeof name !== "string") return undefined;
  const system = /^sys\.(.+)$/i.exec(name)?.[1];
  if (system === undefined) return properties.user(name.replace(/^user\./i, ""));
  const known = systemProperty(system);
  return known && properties.system(known);
}

function negative(value: SqlValue | undefined): SqlValue | undefined {
  if (typeof value === "bigint") return BigInt.asIntN(64, -value);
  return typeof value === "number" ? -value : undefined;
}

/** As in C#: longs stay longs and wrap around, a double makes the result one, a string takes anything to its end. */
function calculate(
  operator: ArithmeticOperator,
  left: SqlValue | undefined,
  right: SqlValue | undefined,
): SqlValue | undefined {
  if (left === undefined || right === undefined) return undefined;
  if (operator === "+" && (typeof left === "string" || typeof right === "string")) return `${text(left)}${text(right)}`;
  if (typeof left === "bigint" && typeof right === "bigint") {
    const result = calculateLong(operator, left, right);
    return result === undefined ? undefined : BigInt.asIntN(64, result);
  }
  if (!isNumeric(left) || !isNumeric(right)) return undefined;
  return calculateDouble(operator, Number(left), Number(right));
}

function calculateLong(operator: ArithmeticOperator, left: bigint, right: bigint): bigint | undefined {
  switch (operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return right === 0n ? undefined : left / right;
    case "%":
      return right === 0n ? undefined : left % right;
  }
}

function calculateDouble(operator: ArithmeticOperator, left: number, right: number): number {
  switch (operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return left / right;
    case "%":
      return left % right;
  }
}

/** Values of kinds that cannot be compared are neither equal nor different: that is unknown. */
function compare(
  operator: ComparisonOperator,
  left: SqlValue | undefined,
  right: SqlValue | undefined,
): boolean | undefined {
  if (left === undefined || right === undefined) return undefined;
  if (typeof left === "boolean" && typeof right === "boolean") {
    if (operator === "=") return left === right;
    return operator === "<>" ? left !== right : undefined;
  }
  const order = orderOf(left, right);
  if (order === undefined) return undefined;
  switch (operator) {
    case "=":
      return order === 0;
    case "<>":
      return order !== 0;
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    case ">=":
      return order >= 0;
  }
}

function orderOf(left: SqlValue, right: SqlValue): number | undefined {
  if (isNumeric(left) && isNumeric(right)) return rank(left, right);
  if (typeof left === "string" && typeof right === "string") return rank(left, right);
  if (left instanceof Date && right instanceof Date) return rank(left.getTime(), right.getTime());
  if (left instanceof Uint8Array && right instanceof Uint8Array) return Buffer.compare(left, right);
  return undefined;
}

/** JavaScript compares a bigint with a number by value. */
function rank<T extends string | number | bigint>(left: T, right: T): number | undefined {
  if (left < right) return -1;
  if (left > right) return 1;
  return Number.isNaN(left) || Number.isNaN(right) ? undefined : 0;
}

const isNumeric = (value: SqlValue): value is bigint | number => typeof value === "bigint" || typeof value === "number";

/** Equal as a correlation filter sees it: 3 is 3, whether a client sent it as a number or as text. */
export function equals(left: SqlValue | undefined, right: SqlValue | undefined): boolean {
  if (left === undefined || right === undefined) return false;
  return compare("=", left, right) ?? text(left) === text(right);
}

export const text = (value: SqlValue): string => (value instanceof Date ? value.toISOString() : String(value));
