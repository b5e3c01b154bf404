import { type Bus, openLanes } from "@millrace/bus";
import type { Scope } from "@millrace/kit";
import { openAdmission } from "./adapters/admission.ts";
import { openBooks } from "./adapters/books.ts";
import { openDeadLetters } from "./adapters/dead-letters.ts";
import { openIntake } from "./adapters/intake.ts";
import { openLedger } from "./adapters/ledger.ts";
import { meterStreams } from "./adapters/metered.ts";
import { openModels } from "./adapters/models.ts";
import { openOutcomeWaits } from "./adapters/outcome-waits.ts";
import { openRoutes } from "./adapters/routes.ts";
import { openStreams } from "./adapters/streams.ts";
import type { AppDeps } from "./app.ts";
import type { Tokens } from "./domain/ports.ts";

export type PartsOptions = Pick<Scope, "log" | "health" | "metrics" | "signal"> & {
  bus: Bus;
  tokens: Tokens;
  /** Longest wait in a model's queue, unless its manifest says another. */
  wait_max_s: number;
  /** How often a wait looks at the stream by itself. @default 5000 */
  look_ms?: number;
};

/** What both fronts, HTTP and NATS, work with, on one connection. What must be closed again is handed to `use`. */
export async function openParts(
  { bus, wait_max_s, look_ms, ...given }: PartsOptions,
  use: <Resource extends Disposable>(resource: Resource) => Resource,
): Promise<AppDeps> {
  const models = use(await openModels(bus));
  const streams = meterStreams(use(await openStreams(bus)), given.metrics);
  const waits = use(openOutcomeWaits(bus, look_ms === undefined ? {} : { look_ms }));
  const lanes = use(await openLanes(bus));
  const admission = use(openAdmission(bus, { models, lanes, wait_max_s, metrics: given.metrics }));
  given.health.check("room", () => {
    const full = streams.room();
    return full ? { ok: false, detail: full.detail } : { ok: true };
  });
  // Waits answer at once when stopping begins, so that closing does not take as long as the longest of them.
  given.signal.addEventListener("abort", () => waits[Symbol.dispose](), { once: true });
  return {
    ...given,
    models,
    streams,
    intake: openIntake(streams, admission, given.metrics),
    waits,
    ledger: openLedger(bus),
    books: openBooks(bus),
    deadLetters: openDeadLetters(bus, lanes),
    routes: use(await openRoutes(bus)),
  };
}
