import type { Broker } from "./broker.ts";
import { type Faults, NO_FAULTS } from "./faults.ts";
import type { Process, World } from "./world.ts";

/** The connection of one process to the broker: two ordered ways that take time and may be cut. */
export type Link = {
  readonly connected: boolean;
  /** Carries something to the broker, after what went before. */
  up(act: () => void): void;
  /** Carries something to the process. */
  down(act: () => void): void;
  /** Draws whether this one is struck by a fault. */
  loses(fault: keyof Faults): boolean;
  /** Cuts it for a while. What is on its way is lost; what is said meanwhile is sent when it is back. */
  cut(ms: number): void;
  /** The process died: of what it has sent, some may not have left. */
  died(): void;
  /** Called when the broker sees the connection end, by death or cut. */
  onClose(callback: () => void): void;
};

export function createLink(world: World, broker: Broker, process: Process): Link {
  const random = world.random(`link of ${process.name}`);
  let upAt = 0;
  let downAt = 0;
  let cuts = 0;
  let backAt = 0;
  let lastWords = Number.POSITIVE_INFINITY;
  let closing: (() => void)[] = [];
  const close = () => {
    for (const callback of closing) callback();
    closing = [];
  };
  const way_ms = () => 0.05 + random.next() * (broker.faults.latency_ms || NO_FAULTS.latency_ms);

  return {
    get connected() {
      return world.now_ms >= backAt;
    },
    up(act) {
      upAt = Math.max(upAt, Math.max(world.now_ms, backAt) + way_ms());
      const era = cuts;
      const at = upAt;
      world.schedule(at - world.now_ms, () => {
        if (era === cuts && at <= lastWords) act();
      });
    },
    down(act) {
      if (world.now_ms < backAt) return;
      downAt = Math.max(downAt, world.now_ms + way_ms());
      const era = cuts;
      const arrives = random.chance(broker.faults.reordered) ? world.now_ms + way_ms() * 4 : downAt;
      world.schedule(
        arrives - world.now_ms,
        () => {
          if (era === cuts) act();
        },
        process,
      );
    },
    loses: (fault) => random.chance(broker.faults[fault]),
    cut(ms) {
      world.note(`${process.name} is cut off for ${ms} ms`);
      cuts++;
      backAt = Math.max(backAt, world.now_ms + ms);
      close();
    },
    died() {
      lastWords = world.now_ms + random.next() * broker.faults.latency_ms;
      world.schedule(lastWords - world.now_ms, close);
    },
    onClose: (callback) => void closing.push(callback),
  };
}
