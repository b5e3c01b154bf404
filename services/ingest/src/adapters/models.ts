import { type Bus, openTable } from "@millrace/bus";
import { ModelDeployment } from "@millrace/contracts";
import type { Models } from "../domain/ports.ts";

/** The deployed models, as inference announces them. */
export async function openModels(bus: Bus): Promise<Models & Disposable> {
  const table = await openTable(bus, "models", ModelDeployment);
  return {
    get: (name) => table.get(name),
    all: () => table.entries().values(),
    [Symbol.dispose]: () => table[Symbol.dispose](),
  };
}
