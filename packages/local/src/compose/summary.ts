import { saySubmission, sayTable } from "../demo/summary.ts";
import type { Run } from "../run-file.ts";
import type { Screen } from "../screen.ts";
import { SUBSCRIPTIONS, TOPIC } from "../service-bus-entities.ts";

/** The token, out of the container that has it, to curl's standard input: it stands in no argument and in no file. */
const CURL = `docker compose exec -T demo node -p "fs.readFileSync('/config/authorization','utf8')" | curl -sS -H @-`;

/** Addresses are those on the host. */
export type Introduction = Pick<Run, "http" | "nats" | "tenant" | "project" | "models"> & {
  serviceBus: string;
  reading: readonly number[];
};

/** Where things are, seen from the host, and lines to paste. */
export function introduction(screen: Screen, { http, nats, serviceBus, models, reading, ...of }: Introduction): void {
  sayTable(screen, "Where things are", {
    "HTTP API": http,
    NATS: nats,
    "Service Bus": `${serviceBus}, topic ${TOPIC}, subscription ${SUBSCRIPTIONS.enterprise}`,
    Models: models.join(", "),
    Containers: "docker compose ps",
    Logs: "docker compose logs -f SERVICE",
    "The books": "docker compose run --rm cli check",
  });
  saySubmission(screen, { http, ...of, curl: `${CURL} \\\n   `, reading });
  sayTable(screen, "Read on", {
    API: `${CURL} ${http}/docs -o api.html`,
    "The ledger": `${CURL} '${http}/v1/audit/entries?limit=3'`,
    Stop: "docker compose down keeps what was stored; with --volumes nothing is left",
  });
}
