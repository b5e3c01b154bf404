import type { Problem } from "@millrace/contracts";

/** Service Bus's own rule for the path of a queue or topic. */
const ENTITY = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,259}$/;
const SCHEMES = ["sb:", "amqp:", "amqps:", "http:", "https:"];

/**
 * The queue or topic that `replyTo` names: a path, or an address in this namespace. Nothing else is replied to, and not
 * the source itself, whose replies would be requests.
 */
export function replyPlace(
  replyTo: string,
  { host, own }: { host: string; own: string },
): { ok: true; entity: string } | { ok: false; problem: Problem } {
  const refuse = (why: string) => ({
    ok: false as const,
    problem: { code: "invalid-property", detail: `replyTo ${why}` } satisfies Problem,
  });
  const url = URL.canParse(replyTo) ? new URL(replyTo) : undefined;
  if (url && !SCHEMES.includes(url.protocol)) return refuse("is neither a path nor the address of a queue or topic");
  if (url && url.host.toLowerCase() !== host.toLowerCase() && url.hostname.toLowerCase() !== host.toLowerCase())
    return refuse("names an entity of another namespace; only this one's can be replied to");
  const entity = (url ? decodeURIComponent(url.pathname) : replyTo).replace(/^\/+|\/+$/g, "");
  if (!ENTITY.test(entity) || /\/\$|\/subscriptions\//i.test(entity))
    return refuse("cannot be the name of a queue or topic");
  if (entity.toLowerCase() === own.toLowerCase()) return refuse("names the entity that requests come from");
  return { ok: true, entity };
}
