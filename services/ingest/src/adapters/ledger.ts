import { ask, type Bus } from "@millrace/bus";
import { AUDIT_QUERY_SUBJECT, type AuditAnswer } from "@millrace/contracts";
import type { Ledger } from "../domain/ports.ts";

/** The audit service, asked over the bus. */
export const openLedger = (bus: Bus): Ledger => ({
  ask: (question) => ask<AuditAnswer>(bus, AUDIT_QUERY_SUBJECT, question),
});
