import { covers } from "./sas.ts";

/** What somebody may do with an entity: Azure's three claims. */
export type Right = "send" | "listen" | "manage";

export const ALL_RIGHTS: readonly Right[] = ["send", "listen", "manage"];

/** Azure's built-in roles. */
export const ROLES = {
  "Azure Service Bus Data Owner": ALL_RIGHTS,
  "Azure Service Bus Data Sender": ["send"],
  "Azure Service Bus Data Receiver": ["listen"],
} as const satisfies Readonly<Record<string, readonly Right[]>>;

/** What belongs to an entity, as against another entity whose name begins with its name. */
const PARTS = /^$|^\/(\$|subscriptions\/|rules(\/|$))/i;

/** Whether a role on `scope` reaches `path`: a topic covers its subscriptions, the namespace ("") everything. */
export function reaches(scope: string, path: string): boolean {
  return scope === "" || (covers(scope, path) && PARTS.test(path.slice(scope.length)));
}

/** In Azure's words. */
export function claimsMissing(rights: readonly Right[], path: string): string {
  const claims = rights.map((right) => `'${right[0]!.toUpperCase()}${right.slice(1)}'`).join(" or ");
  return `Unauthorized access. ${claims} claim(s) are required to perform this operation. Resource: '${path}'.`;
}
