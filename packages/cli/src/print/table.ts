/** A value of a table: numbers stand to the right. */
export type Cell = string | number | undefined;

/** Columns under their names, two spaces apart; no row means no table. */
export function table(names: readonly string[], rows: readonly (readonly Cell[])[]): string {
  if (rows.length === 0) return "";
  const shown = rows.map((row) => names.map((_, column) => plain(row[column])));
  const widths = names.map((name, column) => Math.max(name.length, ...shown.map((row) => row[column]!.length)));
  const right = names.map((_, column) => rows.every((row) => typeof row[column] !== "string"));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => (right[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join("  ")
      .trimEnd();
  return `${[line(names), ...shown.map(line)].join("\n")}\n`;
}

/** One line of printable text: what comes from requests must not steer a terminal. */
export const plain = (value: Cell): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  String(value ?? "").replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ");
