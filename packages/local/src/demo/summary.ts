import path from "node:path";
import type { Millrace } from "../millrace.ts";
import type { Run } from "../run-file.ts";
import type { Screen } from "../screen.ts";
import { SUBSCRIPTIONS } from "../service-bus-entities.ts";
import type { Stage } from "./demo.ts";
import { MODEL } from "./rule.ts";

const COLUMN = 17;

/** The demonstration on this machine. Its token stands in files of mode 0600 and never on the terminal. */
export const stageOf = (millrace: Millrace, screen: Screen): Stage => {
  const { run, dataDir } = millrace;
  const { connectionString, topic } = run.serviceBus;
  return {
    api: run,
    topic: { address: { connectionString }, topic, subscription: SUBSCRIPTIONS.demo },
    logs: dataDir.file("logs"),
    introduce: (reading) => sayWhereThingsAre(screen, millrace, reading),
  };
};

function sayWhereThingsAre(screen: Screen, { run, dataDir, runFile }: Millrace, reading: readonly number[]): void {
  const shown = (file: string) => {
    const relative = path.relative(process.cwd(), file);
    return relative.startsWith("..") ? file : relative;
  };
  const header = shown(dataDir.file("secrets", "authorization"));
  const endpoint = /sb:\/\/[^;/]+/.exec(run.serviceBus.connectionString)?.[0];
  sayTable(screen, "Where things are", {
    "HTTP API": run.http,
    NATS: run.nats.replace(/\/\/[^@]*@/g, "//"),
    "Service Bus": `${endpoint}, topic ${run.serviceBus.topic}, subscription ${run.serviceBus.subscription}`,
    "Key Vault": `${run.azure.keyVault}, by managed identity; our services enter Service Bus the same way`,
    Models: run.models.join(", "),
    "How to get in": `${shown(runFile)} (addresses, token, connection string)`,
    Logs: `${shown(dataDir.file("logs"))}/<process>.log`,
  });
  saySubmission(screen, { ...run, curl: `curl -sS -H @${header}`, reading });
  sayTable(screen, "Read on", {
    API: `curl -sS -H @${header} ${run.http}/docs -o api.html`,
    "The ledger": `curl -sS -H @${header} '${run.http}/v1/audit/entries?limit=3'`,
  });
  screen.say("\nCtrl-C stops everything.");
}

/** One line for each thing. */
export function sayTable(screen: Screen, heading: string, rows: Readonly<Record<string, string>>): void {
  screen.heading(heading);
  for (const [name, value] of Object.entries(rows)) screen.say(`  ${name.padEnd(COLUMN)}${value}`);
}

/** A request to paste. @param of `curl` is how curl is called so that it sends the token */
export function saySubmission(
  screen: Screen,
  of: Pick<Run, "http" | "tenant" | "project"> & { curl: string; reading: readonly number[] },
): void {
  screen.heading("Send a reading of your own");
  screen.say(`  ${of.curl} -H 'Prefer: wait=5' -H 'Content-Type: application/json' \\`);
  screen.say(`    ${of.http}/v1/${of.tenant}/${of.project}/models/${MODEL}/requests \\`);
  screen.say(`    -d '{"inputs":[{"name":"readings","datatype":"FP32","shape":[1,${of.reading.length}],`);
  screen.say(`         "data":[${of.reading.join(",")}]}]}'`);
}
