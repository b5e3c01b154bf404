/** What a property may hold: a long is a bigint, a double a number. What is unknown or null is `undefined`. */
export type SqlValue = string | bigint | number | boolean | Date | Uint8Array;

/** Where an expression gets its properties from; names are compared without case. */
export interface SqlProperties {
  system(name: SystemProperty): SqlValue | undefined;
  user(name: string): SqlValue | undefined;
  has(property: PropertyReference): boolean;
}

export type PropertyReference =
  | { readonly kind: "property"; readonly scope: "sys"; readonly name: SystemProperty }
  | { readonly kind: "property"; readonly scope: "user"; readonly name: string };

export type ComparisonOperator = "=" | "<>" | "<" | "<=" | ">" | ">=";
export type ArithmeticOperator = "+" | "-" | "*" | "/" | "%";

export type SqlExpression =
  | { readonly kind: "constant"; readonly value: SqlValue | undefined }
  | PropertyReference
  | { readonly kind: "property-named"; readonly name: SqlExpression }
  | { readonly kind: "new-id" }
  | { readonly kind: "negative"; readonly operand: SqlExpression }
  | {
      readonly kind: "arithmetic";
      readonly operator: ArithmeticOperator;
      readonly left: SqlExpression;
      readonly right: SqlExpression;
    }
  | {
      readonly kind: "comparison";
      readonly operator: ComparisonOperator;
      readonly left: SqlExpression;
      readonly right: SqlExpression;
    }
  | { readonly kind: "and" | "or"; readonly left: SqlExpression; readonly right: SqlExpression }
  | { readonly kind: "not"; readonly operand: SqlExpression }
  | { readonly kind: "is-null"; readonly property: PropertyReference }
  | { readonly kind: "exists"; readonly property: PropertyReference }
  | { readonly kind: "in"; readonly left: SqlExpression; readonly list: readonly SqlExpression[] }
  | {
      readonly kind: "like";
      readonly left: SqlExpression;
      readonly pattern: SqlExpression;
      readonly escape: SqlExpression | undefined;
    };

export type SqlStatement =
  | { readonly kind: "set"; readonly property: PropertyReference; readonly value: SqlExpression }
  | { readonly kind: "remove"; readonly property: PropertyReference & { readonly scope: "user" } };

/** The system properties that a sender gives a message, by their names in SQL. */
export const SYSTEM_PROPERTIES = {
  messageid: "messageId",
  correlationid: "correlationId",
  to: "to",
  replyto: "replyTo",
  label: "subject",
  subject: "subject",
  sessionid: "sessionId",
  replytosessionid: "replyToSessionId",
  contenttype: "contentType",
} as const;

export type SystemProperty = (typeof SYSTEM_PROPERTIES)[keyof typeof SYSTEM_PROPERTIES];
