import { DURABILITIES, type Durability, type UserName } from "@millrace/contracts";
import { ConfigError, type Scope } from "@millrace/kit";
import Type from "typebox";
import { type Bus, connectBus } from "./bus.ts";
import { isWeaker, openDurability } from "./durability.ts";

/** Settings of a service's connection: spread into its own schema. */
export const busSettings = (user: UserName) => ({
  NATS_URL: Type.String({ pattern: "^(nats|tls)://", description: "nats://host:port, comma-separated for a cluster" }),
  NATS_USER: Type.String({ default: user }),
  NATS_PASSWORD: Type.String({ minLength: 1, description: "password of NATS_USER" }),
  NATS_BATCH_MIN: Type.Integer({
    minimum: 2,
    default: 8,
    description: "so many messages waiting to be stored go as one batch, fewer one by one",
  }),
  DURABILITY: Type.Enum([...DURABILITIES], {
    default: "fsync",
    description: "what the broker must guarantee: memory < replicated < fsync",
  }),
});

type BusConfig = {
  NATS_URL: string;
  NATS_USER: string;
  NATS_PASSWORD: string;
  NATS_BATCH_MIN: number;
  DURABILITY: Durability;
};

export type OpenBusOptions = {
  /** Runs when the connection is there, before the broker is judged. */
  connected?: (bus: Bus) => Promise<void>;
};

/**
 * Connects a service: the connection belongs to its scope, and readiness says when it is lost, or when the broker
 * guarantees less than was declared.
 * @throws ConfigError when it does so at the start: a promise that the broker does not keep must not be given
 */
export async function openBus(scope: Scope<BusConfig>, { connected }: OpenBusOptions = {}): Promise<Bus> {
  const { NATS_URL: url, NATS_USER: user, NATS_PASSWORD: password, DURABILITY: declared } = scope.config;
  const bus = scope.use(
    await connectBus({ url, user, password, batch_min: scope.config.NATS_BATCH_MIN, log: scope.log }),
  );
  scope.health.check("nats", () => (bus.connected ? { ok: true } : { ok: false, detail: "not connected" }));
  await connected?.(bus);
  const durability = scope.use(await openDurability(bus));
  const weakness = () =>
    isWeaker(durability.level, declared)
      ? `${declared} is declared, and the broker gives ${durability.level} (${durability.evidence})`
      : undefined;
  const weak = weakness();
  if (weak)
    throw new ConfigError([
      `DURABILITY: ${weak}. Strengthen the broker (jetstream { sync_interval: always } for fsync, three replicas for replicated), or declare what it does give: DURABILITY=${durability.level}`,
    ]);
  scope.health.check("durability", () => {
    const detail = weakness();
    return detail ? { ok: false, detail } : { ok: true, detail: durability.level };
  });
  return bus;
}
