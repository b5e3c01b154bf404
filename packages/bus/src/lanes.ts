import { type Lane, LaneRecord, laneKey, parseLaneKey } from "@millrace/contracts";
import type { Bus } from "./bus.ts";
import { openTable } from "./tables.ts";

/** Which lanes exist, kept current in memory. */
export type Lanes = Disposable & {
  /** Calls back with each lane, those that exist first; each at least once. */
  follow(onLane: (lane: Lane) => void): Disposable;
  /** Makes the lane known to everyone, unless it is. Cheap for one that is known; concurrent calls share a write. */
  register(lane: Lane): Promise<void>;
};

/** Follows the bucket `lanes`. */
export async function openLanes(bus: Bus): Promise<Lanes> {
  const followers = new Set<(lane: Lane) => void>();
  const registering = new Map<string, Promise<void>>();
  const tell = (key: string, to: Iterable<(lane: Lane) => void>) => {
    const lane = parseLaneKey(key);
    if (lane) for (const onLane of to) onLane(lane);
    else bus.log.error({ key }, "a key in the bucket is not a lane's; passed over");
  };
  const table = await openTable(bus, "lanes", LaneRecord, { onPut: (key) => tell(key, followers) });
  return {
    follow(onLane) {
      followers.add(onLane);
      for (const key of table.entries().keys()) tell(key, [onLane]);
      return { [Symbol.dispose]: () => void followers.delete(onLane) };
    },
    async register(lane) {
      const key = laneKey(lane);
      if (table.get(key) !== undefined) return;
      const begun = registering.get(key);
      if (begun) return await begun;
      const writing = table.put(key, { since: new Date().toISOString() }).finally(() => registering.delete(key));
      registering.set(key, writing);
      await writing;
    },
    [Symbol.dispose]: () => table[Symbol.dispose](),
  };
}
