import type { CheckReport } from "@millrace/contracts";
import { plain, table } from "./table.ts";

/** The books for people: the sum, what does not fit it, then the streams, consumers and effects. */
export function booksText(report: CheckReport): string {
  const { ids, dead_letters: dead } = report;
  const verdict = report.balanced ? "The books balance." : "The books do not balance.";
  const parts = [
    `${verdict} Read ${plain(report.at)}, in ${report.duration_ms} ms.\n`,
    `accepted ${ids.accepted} = done ${ids.done} + dead ${ids.dead} + pending ${ids.pending}; lost ${ids.lost}\n` +
      `dead letters: ${dead.open} open, ${dead.redriven} redriven, ${dead.discarded} discarded\n`,
    findingsText(report),
    table(
      ["STREAM", "MESSAGES", "FIRST", "LAST", "RETIRED", "GAPS"],
      report.streams.map((it) => [it.name, it.messages, it.first_sequence, it.last_sequence, it.retired, it.gaps]),
    ),
    table(
      ["CONSUMER", "STREAM", "PENDING", "UNDER WAY", "REDELIVERED", "ACKNOWLEDGED", ""],
      report.consumers.map((it) => [
        it.name,
        it.stream,
        it.pending,
        it.ack_pending,
        it.redelivered,
        it.acknowledged_sequence,
        it.standing ? "stands still" : "",
      ]),
    ),
    table(
      ["EFFECT OF", "OUTCOMES", "RECORDED"],
      report.effects.map((it) => [it.consumer, it.outcomes, it.recorded]),
    ),
  ];
  return parts.filter((part) => part !== "").join("\n");
}

function findingsText({ findings, findings_total }: CheckReport): string {
  const listed = table(
    ["FINDING", "WHAT", "DETAIL"],
    findings.map(({ kind, name, detail }) => [kind, name, detail]),
  );
  const more = findings_total - findings.length;
  return more > 0 ? `${listed}and ${more} more\n` : listed;
}
