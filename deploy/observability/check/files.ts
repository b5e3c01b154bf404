/** The files of this folder and of docs/, read. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";

export const HERE = path.resolve(import.meta.dirname, "..");
const ROOT = path.resolve(HERE, "../..");

export type Rule = {
  alert?: string;
  record?: string;
  expr: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
};

export const text = (...parts: string[]): string => readFileSync(path.join(HERE, ...parts), "utf8");
export const yaml = (...parts: string[]): unknown => parse(text(...parts));

export const rules = (): Rule[] =>
  (yaml("rules", "millrace.yaml") as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules);

/** Runbooks by the alert that they are named for. */
export function runbooks(): Map<string, string> {
  const folder = path.join(ROOT, "docs/runbooks");
  const names = readdirSync(folder).filter((name) => name.endsWith(".md") && name !== "README.md");
  return new Map(names.map((name) => [path.basename(name, ".md"), readFileSync(path.join(folder, name), "utf8")]));
}

/** Dashboards as they are committed, by file name. */
export function dashboardFiles(): Map<string, unknown> {
  const folder = path.join(HERE, "grafana/dashboards");
  return new Map(readdirSync(folder).map((name) => [name, JSON.parse(readFileSync(path.join(folder, name), "utf8"))]));
}

/** Series that there are, with their labels: docs/api/metrics.md, which is generated from what the services register. */
export function seriesKnown(): Map<string, ReadonlySet<string>> {
  const page = readFileSync(path.join(ROOT, "docs/api/metrics.md"), "utf8");
  const series = new Map<string, ReadonlySet<string>>();
  for (const [, name, type, labels] of page.matchAll(/^\| `([a-z0-9_]+)` \| (\w+) \| (.*?) \|/gm)) {
    const known = [...labels!.matchAll(/`(\w+)`/g)].map(([, label]) => label!);
    const all = [...known, ...EVERYWHERE];
    if (type !== "histogram") series.set(name!, new Set(all));
    else {
      series.set(`${name}_bucket`, new Set([...all, "le"]));
      for (const part of ["sum", "count"]) series.set(`${name}_${part}`, new Set(all));
    }
  }
  series.set("up", new Set(["job", "instance"]));
  return series;
}

/** `service` from the service itself, the others from whoever scrapes. */
const EVERYWHERE = ["service", "job", "instance"];
