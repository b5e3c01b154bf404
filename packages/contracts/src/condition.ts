import Type from "typebox";

export const OPERATORS = [">=", ">", "<=", "<", "=="] as const;
export type Operator = (typeof OPERATORS)[number];

/** What a result has to say for a rule or a route to take it. A dead letter has no outputs and meets no condition. */
export const Condition = Type.Object(
  { output: Type.String({ minLength: 1, maxLength: 256 }), op: Type.Enum([...OPERATORS]), value: Type.Number() },
  { additionalProperties: false, description: "A result matches when any value of any row of the output does" },
);
export type Condition = Type.Static<typeof Condition>;
