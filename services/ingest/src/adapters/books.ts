import { ask, type Bus } from "@millrace/bus";
import { CHECK_SUBJECT, type CheckReport } from "@millrace/contracts";
import type { Books } from "../domain/ports.ts";

/** Millions of requests take minutes to read. */
const CHECK_MS = 300_000;

/** The keeper, asked over the bus. */
export const openBooks = (bus: Bus): Books => ({
  check: () => ask<CheckReport>(bus, CHECK_SUBJECT, {}, CHECK_MS),
});
