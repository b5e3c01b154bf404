/** What an expression of PromQL names: metrics, and the labels that it matches or groups by. Parsed by Prometheus's own grammar. */
import type { SyntaxNode } from "@lezer/common";
import { parser } from "@prometheus-io/lezer-promql";

export type Named = { metrics: string[]; labels: string[]; mistakes: string[] };

export function namedIn(expression: string): Named {
  const named: Named = { metrics: [], labels: [], mistakes: [] };
  const text = ({ from, to }: Pick<SyntaxNode, "from" | "to">) => expression.slice(from, to);
  parser.parse(expression).iterate({
    enter(node) {
      if (node.type.isError) named.mistakes.push(`at ${node.from}: ${expression.slice(node.from, node.from + 20)}`);
      if (node.name === "Identifier" && node.node.parent?.name === "VectorSelector") named.metrics.push(text(node));
      if (node.name === "LabelName") named.labels.push(text(node));
    },
  });
  return named;
}
