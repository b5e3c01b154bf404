/** Whole seconds as Azure shows them, so that a comparison of templates sees no difference: `P1D`, `PT10M`. */
export function iso8601(seconds: number): string {
  const parts = [
    ["H", Math.floor((seconds % 86_400) / 3_600)],
    ["M", Math.floor((seconds % 3_600) / 60)],
    ["S", seconds % 60],
  ] as const;
  const days = Math.floor(seconds / 86_400);
  const time = parts.map(([unit, count]) => (count > 0 ? `${count}${unit}` : "")).join("");
  return `P${days > 0 ? `${days}D` : ""}${time && `T${time}`}`;
}
