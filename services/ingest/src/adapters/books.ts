import { setTimeout as sleep } from "node:timers/promises";
import { ask, type Bus } from "@millrace/bus";
import { CHECK_SUBJECT, type CheckReport } from "@millrace/contracts";
import type { Books } from "../domain/ports.ts";

/** Millions of requests take minutes to read. */
const CHECK_MS = 300_000;
/**
 * A question that was on its way when a keeper or a node of the broker died is answered by nobody. Asked again, a keeper that
 * is reading already answers with what it is reading.
 */
const AGAIN_MS = 10_000;

/** The keeper, asked over the bus. */
export const openBooks = (bus: Bus, { again_ms = AGAIN_MS } = {}): Books => ({
  async check() {
    const settled = new AbortController();
    const deadline = performance.now() + CHECK_MS;
    const asked: Promise<CheckReport>[] = [];
    try {
      for (;;) {
        asked.push(ask<CheckReport>(bus, CHECK_SUBJECT, {}, Math.max(1, deadline - performance.now())));
        const again = sleep(again_ms, undefined, { signal: settled.signal });
        again.catch(() => {}); // answered before
        const report = await Promise.race([...asked, again]);
        if (report !== undefined) return report;
      }
    } finally {
      settled.abort();
      for (const one of asked) one.catch(() => {}); // nobody waits for the others any more
    }
  },
});
