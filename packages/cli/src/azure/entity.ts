import type { MessageOrigin } from "@millrace/azure";
import { usage } from "../failure.ts";

/** A queue, or `topic/Subscriptions/name`, as Azure writes it. @throws Failure when it is neither */
export function entityOf(path: string): MessageOrigin {
  const [, topic, subscription] = /^(.+)\/subscriptions\/([^/]+)$/i.exec(path) ?? [];
  if (topic !== undefined && subscription !== undefined) return { topic, subscription };
  if (/^[A-Za-z0-9][A-Za-z0-9._/-]{0,259}$/.test(path) && !/\$|\/subscriptions(\/|$)/i.test(path))
    return { queue: path };
  throw usage(`"${path}" is not a queue or subscription.`, "Write QUEUE, or TOPIC/Subscriptions/NAME.");
}
