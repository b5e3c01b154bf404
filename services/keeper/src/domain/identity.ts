import { parseOutcomeSubject, parseRequestSubject } from "@millrace/contracts";

/** What a message of a stream is about, from its headers alone. */

/** Address of a message of a request stream, `<tenant>.<project>.<model>.<id>`, or undefined when it names none. */
export function requestKey(subject: string): string | undefined {
  if (!parseRequestSubject(subject)) return undefined;
  return afterDots(subject, 3);
}

/** The same of an outcome, or undefined when the subject is not one. */
export function outcomeKey(subject: string): string | undefined {
  if (!parseOutcomeSubject(subject)) return undefined;
  return subject.slice(subject.indexOf(".") + 1, subject.lastIndexOf("."));
}

/** Which attempt an outcome ends: its id is `<request id>.<attempt>`. */
export function outcomeAttempt(outcomeId: string | undefined): number {
  const attempt = Number(outcomeId?.slice(outcomeId.lastIndexOf(".") + 1));
  return Number.isSafeInteger(attempt) && attempt >= 1 ? attempt : 1;
}

/** Everything of a subject that a consumer may filter by: all but the id, and how many tokens there are. */
export function laneOf(subject: string): string {
  const tokens = subject.split(".");
  const parts = tokens[0] === "out" ? [...tokens.slice(0, 4), tokens[5]] : tokens.slice(0, tokens[0] === "req" ? 6 : 5);
  return `${tokens.length} ${parts.join(".")}`;
}

function afterDots(subject: string, dots: number): string {
  let at = -1;
  for (let dot = 0; dot < dots; dot++) at = subject.indexOf(".", at + 1);
  return subject.slice(at + 1);
}
