/** A dashboard in Grafana's JSON, from little: panels in rows of four columns, one query or several each. */

export const DATASOURCE = { type: "prometheus", uid: "millrace-prometheus" } as const;

/** What a panel shows: expressions by what the legend says of each series (`{{label}}` is filled in by Grafana). */
export type Panel = {
  title: string;
  /** What to make of it, shown behind the panel's information sign. */
  about: string;
  unit: "short" | "reqps" | "s" | "bytes" | "percentunit" | "bool_yes_no";
  queries: Readonly<Record<string, string>>;
  kind?: "timeseries" | "stat";
  /** Columns of 24. */
  width?: 6 | 8 | 12 | 24;
};

export type Board = ReturnType<typeof board>;

const HEIGHT = 8;
const COLUMNS = 24;

export function board(of: { uid: string; title: string; about: string; panels: readonly Panel[] }) {
  let x = 0;
  let y = 0;
  const panels = of.panels.map((panel, index) => {
    const w = panel.width ?? 12;
    if (x + w > COLUMNS) {
      x = 0;
      y += HEIGHT;
    }
    const gridPos = { x, y, w, h: HEIGHT };
    x += w;
    return grafanaPanel(panel, index + 1, gridPos);
  });
  return {
    uid: of.uid,
    title: of.title,
    description: of.about,
    tags: ["millrace"],
    schemaVersion: 41,
    version: 1,
    editable: false,
    graphTooltip: 1,
    refresh: "15s",
    time: { from: "now-1h", to: "now" },
    timezone: "browser",
    templating: { list: [] },
    annotations: { list: [] },
    links: [
      {
        type: "dashboards",
        title: "Millrace",
        tags: ["millrace"],
        asDropdown: false,
        includeVars: false,
        keepTime: true,
      },
    ],
    panels,
  };
}

function grafanaPanel({ title, about, unit, queries, kind = "timeseries" }: Panel, id: number, gridPos: object) {
  const targets = Object.entries(queries).map(([legendFormat, expr], index) => ({
    refId: String.fromCharCode("A".charCodeAt(0) + index),
    datasource: DATASOURCE,
    expr,
    legendFormat,
    ...(kind === "stat" ? { instant: true, range: false } : { range: true }),
  }));
  return {
    id,
    type: kind,
    title,
    description: about,
    datasource: DATASOURCE,
    gridPos,
    fieldConfig: { defaults: { unit, ...(unit === "bool_yes_no" ? {} : { min: 0 }) }, overrides: [] },
    options:
      kind === "stat"
        ? {
            reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
            colorMode: "value",
            graphMode: "none",
          }
        : {
            legend: { displayMode: "list", placement: "bottom", showLegend: true },
            tooltip: { mode: "multi", sort: "desc" },
          },
    targets,
  };
}

/** A quantile of a histogram over five minutes, by a label. */
export const quantile = (q: number, histogram: string, by: string): string =>
  `histogram_quantile(${q}, sum by (le, ${by}) (rate(${histogram}_bucket[5m])))`;
