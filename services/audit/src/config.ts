import { busSettings } from "@millrace/bus";
import { HealthSettings, ServiceSettings } from "@millrace/kit";
import Type from "typebox";

/** Settings of the audit service, from the environment. */
export const Config = Type.Object({
  ...busSettings("audit"),
  LEDGER_FILE: Type.String({
    minLength: 1,
    description: "SQLite file on a local disk; the directory must exist. Replicas share it; one writes",
  }),
  ...HealthSettings,
  ...ServiceSettings,
});
