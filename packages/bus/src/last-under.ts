import type { Bus } from "./bus.ts";
import { readLastOfEach } from "./direct-batch.ts";

/**
 * Sequence of the last message under each of the filters, by filter; those that have none are left out. One request for
 * hundreds. A replica may answer which is behind. Filters have `*`, not `>`. (The client's own `getBatch` is not for
 * use: without a leader to answer, it rejects where nobody can catch it and never ends, which takes the process down.)
 * @throws NatsError when no server answers in time.
 */
export async function lastUnder(
  bus: Pick<Bus, "nc" | "user">,
  stream: string,
  filters: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  const filterOf = matcher(filters);
  for (const [subject, { sequence }] of await readLastOfEach(bus, stream, filters)) {
    const filter = filterOf(subject);
    if (filter !== undefined) found.set(filter, Math.max(sequence, found.get(filter) ?? 0));
  }
  return found;
}

/** Finds the filter that a subject matches: what a filter leaves open is blotted out, which makes the two equal. */
function matcher(filters: readonly string[]): (subject: string) => string | undefined {
  const all = new Set(filters);
  const shapes = new Map<string, readonly boolean[]>();
  for (const filter of filters) {
    const open = filter.split(".").map((token) => token === "*");
    shapes.set(open.join(), open); // one or two: the filters of a stream are alike
  }
  return (subject) => {
    const tokens = subject.split(".");
    for (const open of shapes.values()) {
      if (open.length !== tokens.length) continue;
      const filter = tokens.map((token, index) => (open[index] ? "*" : token)).join(".");
      if (all.has(filter)) return filter;
    }
    return undefined;
  };
}
