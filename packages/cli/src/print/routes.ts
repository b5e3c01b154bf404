import type { Route } from "@millrace/contracts";
import { table } from "./table.ts";

export const routesTable = (routes: readonly Route[]): string =>
  table(
    ["ROUTE", "TO", "MODEL", "STATE", "WHEN", "SESSION", "PER"],
    routes.map(({ name, topic, queue, model, state, when, message }) => [
      name,
      topic === undefined ? `queue ${queue}` : `topic ${topic}`,
      model ?? "any",
      state ?? "any",
      when ? `${when.output} ${when.op} ${when.value}` : undefined,
      message?.session_id,
      message?.per ?? "outcome",
    ]),
  );
