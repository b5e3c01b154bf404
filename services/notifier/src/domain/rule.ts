import {
  Condition,
  type DoneOutcome,
  type EncodedBody,
  matchingRows,
  OUTCOME_STATES,
  type Outcome,
  ok,
  outputsOf,
  type Result,
  rowId,
  TOKEN_PATTERN,
} from "@millrace/contracts";
import Type from "typebox";

const Token = Type.String({ pattern: TOKEN_PATTERN });
const closed = { additionalProperties: false } as const;

/** One rule of the rules file: which outcomes someone wants to hear of, and where. */
export const RuleDefinition = Type.Object(
  {
    name: Type.String({ pattern: TOKEN_PATTERN, description: "Names the durable consumer and the deliveries" }),
    tenant: Type.Optional(Token),
    project: Type.Optional(Token),
    model: Type.Optional(Token),
    state: Type.Optional(Type.Enum([...OUTCOME_STATES])),
    when: Type.Optional(Condition),
    webhook: Type.Object(
      {
        url: Type.String({ maxLength: 2_000 }),
        secret: Type.Object(
          {
            env: Type.Optional(Type.String({ minLength: 1 })),
            file: Type.Optional(Type.String({ minLength: 1 })),
            keyVault: Type.Optional(Type.String({ minLength: 1, description: "https://VAULT/secrets/NAME[/VERSION]" })),
          },
          { ...closed, minProperties: 1, maxProperties: 1, description: "Where the whsec_… secret is" },
        ),
      },
      closed,
    ),
  },
  closed,
);
export type RuleDefinition = Type.Static<typeof RuleDefinition>;

export const RulesFile = Type.Object({ rules: Type.Array(RuleDefinition, { maxItems: 1_000 }) }, closed);

/** A rule ready to work: its receiver's address checked in form, and where its secret is. */
export type Rule = Pick<RuleDefinition, "name" | "tenant" | "project" | "model" | "state" | "when"> & {
  url: URL;
  secret: RuleDefinition["webhook"]["secret"];
};

/** A row that met the condition, by the first of its values that did. */
export type MatchedRow = { id: string; row: number; value: number };

/** `rows`: the first {@link ROWS_MAX} that matched of `rows_matched`; none when the rule has no condition. */
export type Match = { rows_matched: number; rows: MatchedRow[] };

/** Rows a notification names; the outcome has the rest. */
export const ROWS_MAX = 100;

/**
 * Whether an outcome that the rule's consumer delivered is one to tell of; undefined when it is not. A rule with a
 * condition speaks of results only, and of an output that the model has.
 */
export function matchOf(rule: Pick<Rule, "when">, outcome: Outcome, body: EncodedBody): Result<Match | undefined> {
  if (!rule.when) return ok({ rows_matched: 0, rows: [] });
  if (outcome.state !== "done") return ok(undefined);
  return matchRows(rule.when, outcome, body);
}

function matchRows(when: Condition, outcome: DoneOutcome, body: EncodedBody): Result<Match | undefined> {
  const outputs = outputsOf(outcome, body);
  if (!outputs.ok) return outputs;
  const match: Match = { rows_matched: 0, rows: [] };
  for (const { row, value } of matchingRows(when, outputs.value)) {
    match.rows_matched++;
    if (match.rows.length < ROWS_MAX) match.rows.push({ id: rowId(outcome.id, row), row, value });
  }
  return ok(match.rows_matched > 0 ? match : undefined);
}
