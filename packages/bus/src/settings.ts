import type { UserName } from "@millrace/contracts";
import type { Scope } from "@millrace/kit";
import Type from "typebox";
import { type Bus, connectBus } from "./bus.ts";

/** Settings of a service's connection: spread into its own schema. */
export const busSettings = (user: UserName) => ({
  NATS_URL: Type.String({ pattern: "^(nats|tls)://", description: "nats://host:port, comma-separated for a cluster" }),
  NATS_USER: Type.String({ default: user }),
  NATS_PASSWORD: Type.String({ minLength: 1, description: "password of NATS_USER" }),
});

type BusConfig = { NATS_URL: string; NATS_USER: string; NATS_PASSWORD: string };

/** Connects a service: the connection belongs to its scope, and readiness says when it is lost. */
export async function openBus(scope: Scope<BusConfig>): Promise<Bus> {
  const { NATS_URL: url, NATS_USER: user, NATS_PASSWORD: password } = scope.config;
  const bus = scope.use(await connectBus({ url, user, password, log: scope.log }));
  scope.health.check("nats", () => (bus.connected ? { ok: true } : { ok: false, detail: "not connected" }));
  return bus;
}
