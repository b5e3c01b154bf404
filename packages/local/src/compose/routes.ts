import { emulatorConfig, type RoutesFile, wantedOf } from "@millrace/contracts";
import * as project from "../project.ts";
import { SUBSCRIPTIONS, TOPIC } from "../service-bus-entities.ts";

/**
 * The bridge's file between containers: what goes to Service Bus, and what must be there for it, so that `millrace azure
 * apply` can make it in a namespace of Azure's, and the emulator's configuration follows from it.
 */
export const ROUTES: RoutesFile = {
  ...project.ROUTES,
  entities: [
    {
      topic: TOPIC,
      duplicate_detection_s: 86_400,
      size_max_mb: 5_120,
      subscriptions: [{ name: SUBSCRIPTIONS.enterprise }, { name: SUBSCRIPTIONS.demo }],
    },
  ],
};

/** What Microsoft's emulator is told, and what it cannot do as well as Azure. */
export function emulator() {
  const wanted = wantedOf(ROUTES);
  const made = wanted.ok ? emulatorConfig(wanted.entities) : wanted;
  if (!made.ok) throw new Error(`the demonstration's routes are wrong: ${made.mistakes.join("; ")}`);
  return made;
}
