import type { ListenOptions } from "../azure/addresses.ts";

/*
 * Who is who between the containers of docker-compose.yml: the names are those of its services, the ports those that they
 * listen on inside its network. What is published on the host is the compose file's business.
 */
export const NATS = { name: "nats", port: 4222, routePort: 6222, monitorPort: 8222 } as const;
/** The three of the profile `cluster`. */
export const NATS_NODES = ["nats-1", "nats-2", "nats-3"] as const;

const EVERYWHERE = "0.0.0.0";
export const IDENTITY = { name: "azure", host: EVERYWHERE, port: 8090 } as const satisfies ListenOptions;
export const VAULT = { name: "azure", host: EVERYWHERE, port: 8443 } as const satisfies ListenOptions;
export const SERVICE_BUS = { name: "servicebus", port: 5672 } as const;
export const API = "http://ingest:8080";
export const WEBHOOK = { name: "demo", host: EVERYWHERE, port: 8080 } as const;

/** Where a service finds its configuration: a volume of its own, read-only. */
export const CONFIG = "/config";
/** Where a service keeps its data. */
export const DATA = "/data";
