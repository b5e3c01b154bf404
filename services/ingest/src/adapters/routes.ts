import { type Bus, openTable, readRecord, removeRecord, replaceRecord } from "@millrace/bus";
import { Route } from "@millrace/contracts";
import type { Routes } from "../domain/ports.ts";

/** Two who write the same name at once are few, and each sees what the other has written. */
const TRIES_MAX = 5;

/** The bucket of routes, which the bridge follows. */
export async function openRoutes(bus: Bus): Promise<Routes & Disposable> {
  const table = await openTable(bus, "routes", Route);
  return {
    all: () => table.entries().values(),
    async get(name) {
      return (await readRecord(bus, "routes", name, Route)).value;
    },
    async change(name, decide) {
      for (let tries = 1; tries <= TRIES_MAX; tries++) {
        const { value, revision } = await readRecord(bus, "routes", name, Route);
        const decided = decide(value);
        if (!decided.ok) return decided;
        const { next } = decided.value;
        const written = next
          ? (await replaceRecord(bus, "routes", name, { value: next, revision })) !== undefined
          : await removeRecord(bus, "routes", name, revision);
        if (written) return { ok: true, value: (next ?? value)! };
      }
      throw new Error(`the route ${name} was written by others ${TRIES_MAX} times meanwhile`);
    },
    [Symbol.dispose]: () => table[Symbol.dispose](),
  };
}
