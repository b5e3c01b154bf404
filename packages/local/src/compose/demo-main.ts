import { readFileSync } from "node:fs";
import path from "node:path";
import type { ServiceBusAddress } from "@millrace/azure";
import { openDemo } from "../demo/demo.ts";
import { PROJECT, TENANT } from "../project.ts";
import { Screen } from "../screen.ts";
import { SUBSCRIPTIONS, TOPIC } from "../service-bus-entities.ts";
import { stopRequests } from "../stop-requests.ts";
import { API, CONFIG, WEBHOOK } from "./network.ts";
import { introduction } from "./summary.ts";

/*
 * The container `demo`: readings in, predictions out at four ends, as `npm start` shows them.
 *   SERVICEBUS_NAMESPACE=servicebus:5672 PUBLISHED_HTTP=8080 … node --env-file=/config/identity.env demo.js
 */
const kept = (name: string) => readFileSync(path.join(CONFIG, name), "utf8").trim();
const { env } = process;

const screen = new Screen(process.stdout);
using stop = stopRequests((why) => screen.say(`\n${why}: the demonstration ends`));
await using demo = await openDemo(screen, {
  host: WEBHOOK.host,
  port: WEBHOOK.port,
  secret: kept("webhook-secret"),
});
const api = { http: API, token: kept("token"), tenant: TENANT, project: PROJECT };
const addresses = {
  http: `http://127.0.0.1:${env.PUBLISHED_HTTP}`,
  nats: `nats://127.0.0.1:${env.PUBLISHED_NATS}`,
  serviceBus: `sb://${env.PUBLISHED_AMQP ? `127.0.0.1:${env.PUBLISHED_AMQP}` : env.SERVICEBUS_NAMESPACE}`,
};
const models = JSON.parse(kept("models.json")) as string[];
await demo.play(
  {
    api,
    topic: { address: serviceBus(), topic: TOPIC, subscription: SUBSCRIPTIONS.demo },
    logs: "docker compose logs",
    introduce: (reading) => introduction(screen, { ...api, ...addresses, models, reading }),
  },
  stop.signal,
);

/** As the bridge: a namespace that is entered with an identity, or a connection string, as for Microsoft's emulator. */
function serviceBus(): ServiceBusAddress {
  const { SERVICEBUS_CONNECTION_STRING: connectionString, SERVICEBUS_NAMESPACE: name } = env;
  if (connectionString) return { connectionString };
  if (name) return { fullyQualifiedNamespace: name };
  throw new Error("Neither SERVICEBUS_NAMESPACE nor SERVICEBUS_CONNECTION_STRING says where the topic is.");
}
