import Type from "typebox";
import type { Tensor } from "./tensor.ts";

export const OPERATORS = [">=", ">", "<=", "<", "=="] as const;
type Operator = (typeof OPERATORS)[number];

/** What a result has to say for a rule or a route to take it. A dead letter has no outputs and meets no condition. */
export const Condition = Type.Object(
  { output: Type.String({ minLength: 1, maxLength: 256 }), op: Type.Enum([...OPERATORS]), value: Type.Number() },
  { additionalProperties: false, description: "A result matches when any value of any row of the output does" },
);
export type Condition = Type.Static<typeof Condition>;

/** The rows of a result that meet a condition, each with the first of its values that does; none of an output that is not there. */
export function* matchingRows(
  { output, op, value: bound }: Condition,
  outputs: readonly Tensor[],
): Generator<{ row: number; value: number }> {
  const tensor = outputs.find(({ name }) => name === output);
  const rows = tensor?.shape[0] ?? 0;
  if (!tensor || rows === 0) return;
  const meets = COMPARE[op];
  const width = tensor.data.length / rows;
  for (let row = 0; row < rows; row++)
    for (let index = row * width; index < (row + 1) * width; index++) {
      const value = tensor.data[index]!;
      if (!meets(value, bound)) continue;
      yield { row, value };
      break;
    }
}

const COMPARE: Readonly<Record<Operator, (left: number, right: number) => boolean>> = {
  ">=": (left, right) => left >= right,
  ">": (left, right) => left > right,
  "<=": (left, right) => left <= right,
  "<": (left, right) => left < right,
  "==": (left, right) => left === right,
};
