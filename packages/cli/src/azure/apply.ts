import type { Administration, EntityKind } from "@millrace/azure";
import type { Step } from "./plan.ts";

/**
 * Does one step. What changed since the plan was made shows as a conflict or as not found, never as something overwritten
 * that the plan did not show: creating never replaces, and an update sends only what changes.
 * @throws AdministrationError
 */
export async function doStep(administration: Administration, step: Step): Promise<void> {
  const { action, what, entity, subscription = "", settings = {}, rule } = step;
  switch (what) {
    case "rule":
      if (action === "create") await administration.createRule(entity, subscription, rule!);
      else if (action === "update") await administration.updateRule(entity, subscription, rule!);
      else await administration.deleteRule(entity, subscription, rule!.name);
      return;
    case "subscription":
      if (action === "create") await administration.createSubscription(entity, subscription, settings, rule);
      else await administration.updateSubscription(entity, subscription, settings);
      return;
    default:
      if (action === "create") await administration.createEntity(what satisfies EntityKind, entity, settings);
      else await administration.updateEntity(what satisfies EntityKind, entity, settings);
  }
}
