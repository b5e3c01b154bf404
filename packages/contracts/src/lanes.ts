import Type from "typebox";
import { isToken, PRIORITIES, type Priority, RUNNER_KINDS, type RunnerKind } from "./subjects.ts";

/**
 * A lane: the requests of one tenant for one model at one priority. Each has a durable consumer of its own and workers
 * take turns among them by weight, so that neither a tenant's flood nor a slow model keeps the others waiting. Which
 * lanes exist stands in the bucket `lanes`; whoever first sees a request for a new one writes it there.
 */
export type Lane = { kind: RunnerKind; priority: Priority; tenant: string; model: string };

/** Turns that each priority gets while others wait too. None starves: `low` gets one in 21. */
export const PRIORITY_WEIGHTS = { high: 16, normal: 4, low: 1 } as const satisfies Record<Priority, number>;

/** What the bucket says of a lane; its key says which one it is. */
export const LaneRecord = Type.Object(
  { since: Type.String({ description: "RFC 3339: when its first request was seen" }) },
  { additionalProperties: false, title: "Lane" },
);
export type LaneRecord = Type.Static<typeof LaneRecord>;

/** Key in the bucket `lanes`: `<kind>.<priority>.<tenant>.<model>`. */
export const laneKey = ({ kind, priority, tenant, model }: Lane): string => [kind, priority, tenant, model].join(".");

/** The lane of a key, or undefined when it is not one. */
export function parseLaneKey(key: string): Lane | undefined {
  const [kind, priority, tenant, model, ...rest] = key.split(".");
  if (rest.length > 0 || !isToken(tenant) || !isToken(model)) return;
  if (!(RUNNER_KINDS as readonly unknown[]).includes(kind) || !(PRIORITIES as readonly unknown[]).includes(priority))
    return;
  return { kind: kind as RunnerKind, priority: priority as Priority, tenant, model };
}
