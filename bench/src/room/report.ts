import type { Summary } from "./statistics.ts";

/** What was measured: a rate, a time, a size. */
export type Figure = Summary & { name: string; unit: string };

/** One thing measured against another in the same run. */
export type Ratio = Summary & {
  name: string;
  /** What is divided by what, in words. */
  of: string;
};

/** What one benchmark found. */
export type Report = {
  figures: readonly Figure[];
  ratios: readonly Ratio[];
  /** How many times each side was measured. */
  rounds: number;
  /** What a reader must know to judge the figures: sizes, settings, what was the bottleneck. */
  notes: readonly string[];
};

export const figure = (name: string, unit: string, summary: Summary): Figure => ({ name, unit, ...summary });
export const ratio = (name: string, of: string, summary: Summary): Ratio => ({ name, of, ...summary });

/** A report for people: one line per figure, median first, then the spread. */
export function render(name: string, report: Report): string {
  const lines = [`\n${name}`];
  const width = Math.max(...[...report.figures, ...report.ratios].map((entry) => entry.name.length));
  for (const entry of report.figures) {
    lines.push(`  ${entry.name.padEnd(width)}  ${shown(entry.median).padStart(9)} ${entry.unit}${spread(entry)}`);
  }
  for (const entry of report.ratios) {
    lines.push(
      `  ${entry.name.padEnd(width)}  ${`×${entry.median.toFixed(2)}`.padStart(9)} ${entry.of}${spread(entry)}`,
    );
  }
  for (const note of report.notes) lines.push(`  · ${note}`);
  return lines.join("\n");
}

const spread = ({ min, max, samples }: Summary) => (samples.length > 1 ? `  (${shown(min)} – ${shown(max)})` : "");

/** Three significant digits below a thousand, whole numbers with separators above. */
export const shown = (value: number): string =>
  Math.abs(value) >= 1_000
    ? Math.round(value).toLocaleString("en").replaceAll(",", " ")
    : String(Number(value.toPrecision(3)));
