import path from "node:path";
import type { Millrace } from "../millrace.ts";
import type { Screen } from "../screen.ts";

const COLUMN = 17;

/**
 * Where everything is, and lines to paste. The token stands in files of mode 0600 and never on the terminal.
 * @param reading values of one reading, for the request to paste
 */
export function sayWhereThingsAre(screen: Screen, millrace: Millrace, reading: readonly number[]): void {
  const { run, dataDir, runFile } = millrace;
  const shown = (file: string) => {
    const relative = path.relative(process.cwd(), file);
    return relative.startsWith("..") ? file : relative;
  };
  const header = shown(dataDir.file("secrets", "authorization"));
  const line = (name: string, value: string) => screen.say(`  ${name.padEnd(COLUMN)}${value}`);

  screen.heading("Where things are");
  line("HTTP API", run.http);
  line("NATS", run.nats.replace(/\/\/[^@]*@/g, "//"));
  line(
    "Service Bus",
    `${/sb:\/\/[^;/]+/.exec(run.serviceBus.connectionString)?.[0]}, topic ${run.serviceBus.topic}, subscription ${run.serviceBus.subscription}`,
  );
  line("Key Vault", `${run.azure.keyVault}, by managed identity; our services enter Service Bus the same way`);
  line("Models", run.models.join(", "));
  line("How to get in", `${shown(runFile)} (addresses, token, connection string)`);
  line("Logs", `${shown(dataDir.file("logs"))}/<process>.log`);

  screen.heading("Send a reading of your own");
  screen.say(`  curl -sS -H @${header} -H 'Prefer: wait=5' -H 'Content-Type: application/json' \\`);
  screen.say(`    ${run.http}/v1/${run.tenant}/${run.project}/models/failure-risk/requests \\`);
  screen.say(`    -d '{"inputs":[{"name":"readings","datatype":"FP32","shape":[1,${reading.length}],`);
  screen.say(`         "data":[${reading.join(",")}]}]}'`);

  screen.heading("Read on");
  line("API", `curl -sS -H @${header} ${run.http}/docs -o api.html`);
  line("The ledger", `curl -sS -H @${header} '${run.http}/v1/audit/entries?limit=3'`);
}
