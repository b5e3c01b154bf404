import { busSettings } from "@millrace/bus";
import { HealthSettings, ServiceSettings } from "@millrace/kit";
import Type, { type Static } from "typebox";

const Duration = (fallback: string, description: string) =>
  Type.String({ pattern: "^[0-9]{1,9}(ms|s|m|h|d)$", default: fallback, description });
const Every = (fallback: number, description: string) =>
  Type.Integer({ minimum: 10, maximum: 86_400_000, default: fallback, description });

/** Settings of the keeper, read from the environment. */
export const Config = Type.Object({
  ...busSettings("keeper"),
  NATS_SYSTEM_USER: Type.String({ default: "system", description: "user of the system account" }),
  NATS_SYSTEM_PASSWORD: Type.String({
    minLength: 1,
    description: "its password: the servers' settings are read with it",
  }),
  REQUESTS_RETENTION: Duration("72h", "how long settled requests stay, such as 90m, 72h, 30d"),
  OUTCOMES_RETENTION: Duration("30d", "how long outcomes stay, those of open dead letters too"),
  EVENTS_RETENTION: Duration("30d", "how long events stay"),
  RETENTION_DELETES_PER_S: Type.Integer({
    minimum: 1,
    maximum: 8_000,
    default: 500,
    description: "messages removed per second from each stream, evenly spread",
  }),
  RETENTION_EVERY_MS: Every(60_000, "pause between two passes of retention"),
  SWEEP_EVERY_MS: Every(30_000, "pause between two passes of the sweeper"),
  REDRIVE_AFTER_MS: Every(30_000, "a redrive that nobody has completed for so long was interrupted"),
  DURABILITY_EVERY_MS: Every(30_000, "pause between two looks at the servers' settings"),
  LOOK_EVERY_MS: Every(5_000, "pause between two looks at streams and consumers, which are shown as metrics"),
  CHECK_EVERY_MS: Every(300_000, "pause between two readings of the books that nobody asked for"),
  STANDING_MS: Every(15_000, "a consumer with work that has not moved for so long stands still"),
  ...HealthSettings,
  ...ServiceSettings,
});
export type Config = Static<typeof Config>;

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds of a duration that the schema has checked. */
export function milliseconds(duration: string): number {
  const [, amount, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(duration)!;
  return Number(amount) * UNITS[unit as keyof typeof UNITS];
}
