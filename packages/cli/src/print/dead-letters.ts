import type { DeadLetter, DecisionResult } from "@millrace/contracts";
import { plain, table } from "./table.ts";

/** How a dead letter is named on the command line. */
export const nameOf = (of: { model: string; id: string }): string => `${of.model}/${of.id}`;

export const deadLettersTable = (deadLetters: readonly DeadLetter[]): string =>
  table(
    ["DEAD LETTER", "ATTEMPT", "STATE", "DIED", "CODE", "DETAIL"],
    deadLetters.map(({ state, outcome }) => [
      nameOf({ model: outcome.model.name, id: outcome.id }),
      outcome.attempt,
      state,
      outcome.completed_at,
      outcome.reason.code,
      shortened(outcome.reason.detail),
    ]),
  );

const DETAIL_MAX = 100;
const shortened = (text: string) => (text.length > DETAIL_MAX ? `${text.slice(0, DETAIL_MAX - 1)}…` : text);

/** Everything that is known of one, and what can be done. */
export function deadLetterText({ sequence, state, outcome, decision }: DeadLetter): string {
  const { reason, request, payload, model } = outcome;
  const name = nameOf({ model: model.name, id: outcome.id });
  const lines: [string, string | undefined][] = [
    ["dead letter", `${name}, attempt ${outcome.attempt}, at OUTCOMES ${sequence}`],
    ["state", state],
    ["what happened", `${reason.title} (${reason.code})`],
    ["why", reason.at === undefined ? reason.detail : `${reason.detail} (${reason.at})`],
    ["what to do", reason.fix],
    [
      "died",
      `${outcome.completed_at}, after ${outcome.deliveries} ${outcome.deliveries === 1 ? "delivery" : "deliveries"}`,
    ],
    ["model", model.version === undefined ? undefined : `${model.name} ${model.version} ${model.digest ?? ""}`],
    ["accepted", `${request.accepted_at}${request.principal === undefined ? "" : ` from ${request.principal}`}`],
    ["deadline", request.deadline],
    ["correlation id", request.correlation_id],
    [
      "payload",
      `${payload ? `${payload.size_bytes} bytes ` : ""}at ${request.stream} ${request.sequence}, ${request.digest}`,
    ],
    ...(outcome.previous ?? []).map((it): [string, string] => [
      `attempt ${it.attempt}`,
      `${it.code}, died ${it.completed_at}, at OUTCOMES ${it.sequence}`,
    ]),
    ["decision", decision && `${decision.decision} ${decision.at} by ${decision.principal}`],
    ["reason", decision?.reason],
    ["new payload", decision?.decision === "redriven" && decision.edited ? decision.digest : undefined],
  ];
  const width = Math.max(...lines.map(([label]) => label.length));
  return lines
    .filter((line): line is [string, string] => line[1] !== undefined)
    .map(([label, text]) => `${label.padEnd(width)}  ${plain(text).trimEnd()}\n`)
    .join("");
}

/** One that was named and refused: nothing else is known of it. */
export type Refused = { model: string; id: string; result: "refused"; problem: { code: string; detail: string } };

export const resultsTable = (results: readonly (DecisionResult | Refused)[]): string =>
  table(
    ["DEAD LETTER", "ATTEMPT", "RESULT", "DETAIL"],
    results.map((it) => [nameOf(it), "attempt" in it ? it.attempt : undefined, it.result, detailOf(it)]),
  );

function detailOf(result: DecisionResult | Refused): string {
  if (result.problem) return `${result.problem.code}: ${result.problem.detail}`;
  const { repeated, request_sequence } = result as DecisionResult;
  const again = repeated ? "decided before" : undefined;
  const where = request_sequence === undefined ? undefined : `request at ${request_sequence}`;
  return [again, where].filter((part) => part !== undefined).join("; ");
}
