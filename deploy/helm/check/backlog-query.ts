import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Manifest } from "./rules.ts";
import { run } from "./run.ts";

type Scaled = { triggers: { type: string; metadata: Record<string, string> }[] };
/** A series, by metric and labels, and what it is. */
type Series = readonly [name: string, labels: Record<string, string>, value: number];

const LANE = { stream: "REQUESTS_TENSOR", consumer: "inference=tensor=normal=acme=pump" };
const OTHER = { stream: "REQUESTS_TENSOR", consumer: "inference=tensor=high=contoso=pump" };
const STRAYS = { stream: "REQUESTS_TENSOR", consumer: "inference-strays" };
const HERE = { namespace: "millrace" };
const ONE = { ...HERE, pod: "keeper-1" };
const TWO = { ...HERE, pod: "keeper-2" };

const of = (labels: Record<string, string>, pending: number, ackPending: number): Series[] => [
  ["millrace_consumer_pending", labels, pending],
  ["millrace_consumer_ack_pending", labels, ackPending],
];
const looking = (pod: Record<string, string>): Series => [
  "millrace_stream_messages",
  { ...pod, stream: "OUTCOMES" },
  7,
];

/** What the keepers show, and what the query for workers has to make of it; nothing: KEDA takes that for an error. */
const CASES: readonly { says: string; series: readonly Series[]; backlog: number | undefined }[] = [
  { says: "what is held counts", series: [looking(ONE), ...of({ ...ONE, ...LANE }, 0, 500)], backlog: 500 },
  {
    says: "lanes add up, and two keepers count once",
    series: [
      ...[ONE, TWO].map(looking),
      ...[ONE, TWO].flatMap((pod) => [...of({ ...pod, ...LANE }, 2, 3), ...of({ ...pod, ...OTHER }, 10, 0)]),
    ],
    backlog: 15,
  },
  {
    says: "what only looks, and another namespace, do not count",
    series: [looking(ONE), ...of({ ...ONE, ...STRAYS }, 9, 9), ...of({ namespace: "other", ...LANE }, 9, 9)],
    backlog: 0,
  },
  { says: "no lane yet is nothing to do", series: [looking(ONE)], backlog: 0 },
  { says: "no keeper is not known", series: [], backlog: undefined },
];

/** Has promtool compute the rendered query for workers over series whose backlog is known; undefined where none is rendered. */
export function queryMistakes(promtool: string, manifests: readonly Manifest[]): string[] | undefined {
  const scaled = manifests.find(
    ({ kind, metadata }) => kind === "ScaledObject" && metadata.name === "millrace-inference",
  );
  const query = (scaled?.spec as Scaled | undefined)?.triggers.find(({ type }) => type === "prometheus")?.metadata
    .query;
  if (!query) return undefined;
  const directory = mkdtempSync(path.join(tmpdir(), "millrace-query-"));
  try {
    const file = path.join(directory, "tests.yaml");
    writeFileSync(file, JSON.stringify({ evaluation_interval: "15s", tests: CASES.map((one) => testOf(query, one)) }));
    const { ok, said } = run(promtool, ["test", "rules", file]);
    return ok ? [] : [`the query of the backlog is wrong: ${said}`];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/ */
const testOf = (expr: string, { says, series, backlog }: (typeof CASES)[number]) => ({
  name: says,
  interval: "15s",
  input_series: series.map(([name, labels, value]) => ({ series: `${name}${selector(labels)}`, values: `${value}x4` })),
  promql_expr_test: [
    { expr, eval_time: "30s", exp_samples: backlog === undefined ? [] : [{ labels: "{}", value: backlog }] },
  ],
});

const selector = (labels: Record<string, string>) =>
  `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(",")}}`;
