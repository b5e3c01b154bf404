import { saySubmission, sayTable } from "../demo/summary.ts";
import type { Run } from "../run-file.ts";
import type { Screen } from "../screen.ts";
import { SUBSCRIPTIONS, TOPIC } from "../service-bus-entities.ts";

/** Ports on the host; one that is not published is absent. */
export type Published = Readonly<Record<"http" | "nats" | "serviceBus", string | undefined>>;

/** The token, out of the container that has it, to curl's standard input: it stands in no argument and in no file. */
const CURL = `docker compose exec -T demo node -p "fs.readFileSync('/config/authorization','utf8')" | curl -sS -H @-`;

export type Introduction = Pick<Run, "tenant" | "project" | "models"> & {
  published: Published;
  reading: readonly number[];
};

/** Where things are, seen from the host, and lines to paste. */
export function introduction(screen: Screen, { published, models, reading, tenant, project }: Introduction): void {
  const http = `http://127.0.0.1:${published.http ?? "8080"}`;
  const on = (scheme: string, port: string | undefined) =>
    port ? `${scheme}://127.0.0.1:${port}` : "not published on the host";
  sayTable(screen, "Where things are", {
    "HTTP API": http,
    NATS: on("nats", published.nats),
    "Service Bus": `${on("sb", published.serviceBus)}, topic ${TOPIC}, subscription ${SUBSCRIPTIONS.enterprise}`,
    Models: models.join(", "),
    Containers: "docker compose ps",
    Logs: "docker compose logs -f SERVICE",
    "The books": "docker compose run --rm cli check",
  });
  saySubmission(screen, { http, tenant, project, curl: `${CURL} \\\n   `, reading });
  sayTable(screen, "Read on", {
    API: `${CURL} ${http}/docs -o api.html`,
    "The ledger": `${CURL} '${http}/v1/audit/entries?limit=3'`,
    Stop: "docker compose down keeps what was stored; with --volumes nothing is left",
  });
}
