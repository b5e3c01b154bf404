import { expect, test } from "vitest";
import { dashboards } from "../dashboards/index.ts";
import { dashboardFiles, HERE, rules, runbooks, seriesKnown, text, yaml } from "./files.ts";
import { namedIn } from "./promql.ts";

const HEADINGS = ["## What it means", "## How to see it", "## What to do", "## When to wake somebody"];
const recorded = rules().filter(({ record }) => record !== undefined);
const alerts = rules().filter(({ alert }) => alert !== undefined);
const boards = dashboards();

/** Names and labels of an expression that no service registers and no rule records. */
function unknownIn(expression: string): string[] {
  const known = seriesKnown();
  const { metrics, labels, mistakes } = namedIn(expression);
  const unknown = metrics.filter((name) => !known.has(name) && !recorded.some(({ record }) => record === name));
  const some = new Set(
    metrics.flatMap((name) => {
      const rule = recorded.find(({ record }) => record === name);
      return rule ? namedIn(rule.expr).labels : [...(known.get(name) ?? [])];
    }),
  );
  return [...mistakes, ...unknown, ...labels.filter((label) => !some.has(label))];
}

test("what is looked for in expressions is found there", () => {
  const expression =
    'sum by (model) (rate(millrace_accepted_requests_total{tenant="a"}[5m])) / on (color) no_such_metric';
  expect(unknownIn(expression)).toEqual(["no_such_metric", "tenant", "color"]);
  expect(unknownIn("sum by (")).not.toEqual([]);
  expect(unknownIn("histogram_quantile(0.5, millrace_http_request_seconds_bucket)")).toEqual([]);
});

test.each(rules().map(({ alert, record, expr }) => [alert ?? record!, expr]))(
  "%s uses only metrics and labels that there are",
  (_name, expr) => expect(unknownIn(expr)).toEqual([]),
);

test.each(
  boards.flatMap(({ title, panels }) =>
    panels.flatMap((panel) => panel.targets.map(({ expr, refId }) => [`${title} / ${panel.title} ${refId}`, expr])),
  ),
)("%s uses only metrics and labels that there are", (_name, expr) => expect(unknownIn(expr!)).toEqual([]));

test("a legend names only labels that its expression keeps", () => {
  for (const { panels } of boards)
    for (const { title, targets } of panels)
      for (const { expr, legendFormat } of targets) {
        const { metrics, labels } = namedIn(expr);
        const kept = [...labels, ...metrics.flatMap((name) => namedIn(recordedExpr(name)).labels)];
        for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(kept, title).toContain(label);
      }
});
const recordedExpr = (name: string) => recorded.find(({ record }) => record === name)?.expr ?? "vector(0)";

test("every alert says what it is and has a runbook, and every runbook has an alert", () => {
  for (const { alert, labels, annotations } of alerts) {
    expect(["critical", "warning"], alert).toContain(labels?.severity);
    expect(annotations, alert).toEqual({
      summary: expect.stringMatching(/./),
      description: expect.stringMatching(/./),
      runbook_url: `docs/runbooks/${alert}.md`,
    });
  }
  expect([...runbooks().keys()].sort()).toEqual(alerts.map(({ alert }) => alert).sort());
});

test.each([...runbooks()])(
  "the runbook %s says what, how to see it, what to do, and when to wake somebody",
  (name, page) => {
    expect(page.split("\n")[0]).toBe(`# ${name}`);
    expect(page.match(/^## .*$/gm)).toEqual(HEADINGS);
    for (const [, linked] of page.matchAll(/\]\((\w+)\.md\)/g)) expect([...runbooks().keys()]).toContain(linked);
  },
);

test("every alert has a case in which it fires and one in which it does not", () => {
  const { tests } = yaml("tests", "alerts.yaml") as {
    tests: { name: string; promql_expr_test: { exp_samples: [] }[] }[];
  };
  const of = (fires: boolean) =>
    tests
      .filter(({ promql_expr_test: cases }) => cases.every(({ exp_samples }) => exp_samples.length > 0 === fires))
      .map(({ name }) => name.split(" ")[0]);
  const names = alerts.map(({ alert }) => alert);
  expect(of(true)).toEqual(names);
  expect(of(false)).toEqual(names);
});

test("dashboards are those of dashboards/, have ids of their own, and ask the data source that is provisioned", () => {
  const files = Object.fromEntries(dashboardFiles());
  expect(files, "run node scripts/generate.ts").toEqual(
    Object.fromEntries(boards.map((board) => [`${board.uid}.json`, board])),
  );
  const { datasources } = yaml("grafana/provisioning/datasources/prometheus.yaml") as {
    datasources: { uid: string }[];
  };
  for (const { panels } of boards) {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { datasource, targets } of panels)
      for (const { uid } of [datasource, ...targets.map((target) => target.datasource)])
        expect(datasources.map((of) => of.uid)).toContain(uid);
  }
});

test("every service is scraped, all its replicas, under the name that the alerts know", () => {
  const { receivers } = yaml("otel-collector.yaml") as {
    receivers: {
      prometheus: { config: { scrape_configs: { job_name: string; dns_sd_configs: { names: string[] }[] }[] } };
    };
  };
  const jobs = receivers.prometheus.config.scrape_configs;
  expect(jobs.map(({ job_name }) => job_name)).toEqual([
    "ingest",
    "inference",
    "notifier",
    "audit",
    "bridge",
    "keeper",
  ]);
  for (const { job_name, dns_sd_configs } of jobs) expect(dns_sd_configs[0]!.names).toEqual([job_name]);
  const absent = alerts.find(({ alert }) => alert === "MillraceServiceAbsent")!;
  for (const { job_name } of jobs) expect(absent.expr).toContain(`absent(up{job="${job_name}"})`);
});

test("what is mounted is there", () => {
  for (const file of ["otel-collector.yaml", "prometheus.yaml", "rules/millrace.yaml"])
    expect(text(file), HERE).not.toBe("");
});
