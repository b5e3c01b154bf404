import Type from "typebox";

/**
 * Text with `{placeholders}`, filled from an outcome: `{tenant}`, `{project}`, `{model}`, `{version}`, `{state}`, `{id}`
 * (the request's), `{attempt}`, `{sequence}` (the request's position), `{correlationId}`, `{principal}`, `{row}` (of a
 * message per row), `{parameters.<name>}` (the request's own, such as `{parameters.sensor}`), `{outputs.<name>}` (the
 * first value, of the row where there is one). A template with a placeholder that the outcome has nothing for is left out.
 */
export const Template = Type.String({ minLength: 1, maxLength: 512 });

export const OUTCOME_FACTS = [
  "tenant",
  "project",
  "model",
  "version",
  "state",
  "id",
  "attempt",
  "sequence",
  "correlationId",
  "principal",
  "row",
] as const;
export type OutcomeFact = (typeof OUTCOME_FACTS)[number];

/** Literal text, or what stands for something of the outcome. */
export type TemplatePart =
  | string
  | { of: "outcome"; name: OutcomeFact }
  | { of: "parameters"; name: string }
  | { of: "outputs"; name: string };

/** The parts of a template, or what is wrong with it. */
export function parseTemplate(text: string): { parts: TemplatePart[] } | { mistake: string } {
  const parts: TemplatePart[] = [];
  for (const piece of text.split(/(\{[^{}]*\})/)) {
    if (piece === "") continue;
    if (!piece.startsWith("{") || !piece.endsWith("}")) {
      if (/[{}]/.test(piece)) return { mistake: `"${text}" has a brace without its other one` };
      parts.push(piece);
      continue;
    }
    const part = placeholder(piece.slice(1, -1));
    if (!part) return { mistake: `"${text}" has the placeholder ${piece}, which stands for nothing` };
    parts.push(part);
  }
  return { parts };
}

function placeholder(name: string): TemplatePart | undefined {
  if ((OUTCOME_FACTS as readonly string[]).includes(name)) return { of: "outcome", name: name as OutcomeFact };
  const [, of, rest] = /^(parameters|outputs)\.(.+)$/.exec(name) ?? [];
  return of && rest ? { of: of as "parameters" | "outputs", name: rest } : undefined;
}
