import type { StoredOutcome } from "@millrace/bus";
import { type OutcomeFact, parseTemplate, type TemplatePart, type Tensor } from "@millrace/contracts";

/** What templates are filled from: an outcome, and the row of it that the message is about. */
export type Subject = { outcome: StoredOutcome; outputs: () => readonly Tensor[]; row?: number };
export type Value = string | number | boolean;
/** Undefined when the outcome has nothing for one of the placeholders. */
export type Fill = (of: Subject) => Value | undefined;

/** A template made ready. One that is a placeholder and nothing else keeps the type of what it stands for. @throws when it has a mistake */
export function template(text: string): Fill {
  const parsed = parseTemplate(text);
  if ("mistake" in parsed) throw new Error(parsed.mistake);
  const { parts } = parsed;
  const [only, another] = parts;
  if (only !== undefined && another === undefined) return (of) => valueFor(only, of);
  return (of) => {
    let filled = "";
    for (const part of parts) {
      const value = valueFor(part, of);
      if (value === undefined) return undefined;
      filled += String(value);
    }
    return filled;
  };
}

function valueFor(part: TemplatePart, of: Subject): Value | undefined {
  if (typeof part === "string") return part;
  switch (part.of) {
    case "outcome":
      return FACTS[part.name](of);
    case "parameters":
      return own(of.outcome.record.request.parameters, part.name);
    case "outputs": {
      const tensor = of.outputs().find(({ name }) => name === part.name);
      const rows = tensor?.shape[0] ?? 0;
      if (!tensor || rows === 0) return undefined;
      const value = tensor.data[((of.row ?? 0) * tensor.data.length) / rows];
      return tensor.datatype === "BOOL" && value !== undefined ? value !== 0 : value;
    }
  }
}

const own = <T>(of: Readonly<Record<string, T>> | undefined, name: string): T | undefined =>
  of !== undefined && Object.hasOwn(of, name) ? of[name] : undefined;

const FACTS: Readonly<Record<OutcomeFact, (of: Subject) => Value | undefined>> = {
  tenant: ({ outcome }) => outcome.record.tenant,
  project: ({ outcome }) => outcome.record.project,
  model: ({ outcome }) => outcome.record.model.name,
  version: ({ outcome }) => outcome.record.model.version,
  state: ({ outcome }) => outcome.record.state,
  id: ({ outcome }) => outcome.record.id,
  attempt: ({ outcome }) => outcome.record.attempt,
  sequence: ({ outcome }) => outcome.record.request.sequence,
  correlationId: ({ outcome }) => outcome.envelope.correlationid,
  principal: ({ outcome }) => outcome.record.request.principal,
  row: ({ row }) => row,
};
