/** .NET's longest time span, which Azure writes for "never". */
const NEVER_S = 10_675_199 * 86_400;

/** Seconds of an ISO 8601 duration as Azure writes them, without years and months; infinite for "never". */
export function secondsOf(duration: string): number {
  const match = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(duration);
  if (!match) throw new Error(`Azure gave "${duration}" as a duration, which is none that it documents`);
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
  ];
  const total = days * 86_400 + hours * 3_600 + minutes * 60 + seconds;
  return total >= NEVER_S ? Number.POSITIVE_INFINITY : total;
}

/** Whole seconds as an ISO 8601 duration. */
export const durationOf = (seconds: number): string => `PT${seconds}S`;
