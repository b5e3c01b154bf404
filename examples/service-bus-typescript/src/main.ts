/*
 * Somebody else's system: it knows nothing of Millrace but a Service Bus queue or subscription, and uses nothing but
 * Azure's SDK. What it does with a message takes effect once, however often the message comes.
 *
 *   node src/main.ts --run ../../.millrace/run.json                       a local Millrace
 *   SERVICEBUS_NAMESPACE=acme.servicebus.windows.net node src/main.ts      Azure, with your own or a managed identity
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { openClient } from "./client.ts";
import { Handler } from "./handler.ts";
import { pause } from "./pause.ts";
import { receive } from "./receive.ts";
import { receiveSessions } from "./receive-sessions.ts";
import { readSettings } from "./settings.ts";
import { Store } from "./store.ts";

const CLOSE_MS = 2_000;

const settings = readSettings(process.argv.slice(2), process.env);
mkdirSync(path.dirname(path.resolve(settings.store)), { recursive: true });
const store = new Store(settings.store);
const client = await openClient(settings);
const handler = new Handler(store, console.log);

const stopping = new AbortController();
process.once("SIGINT", () => stopping.abort());
process.once("SIGTERM", () => stopping.abort());

console.log(`reading ${settings.source.join("/")}${settings.sessions ? " by session" : ""}; Ctrl-C ends`);
await (settings.sessions ? receiveSessions : receive)(client, settings.source, handler, stopping.signal);
// Everything is settled. A wait for a session cannot be called off, and the other side may be gone: neither keeps us.
await Promise.race([client.close(), pause(CLOSE_MS)]);
store.close();
console.log("stopped");
process.exit();
