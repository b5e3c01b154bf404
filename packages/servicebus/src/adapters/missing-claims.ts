const SUBSCRIPTION = /\/subscriptions(?:\/[^/]+)?$/i;
const RULE = /\/rules(?:\/[^/]+)?$/i;
const COLLECTION = /\/(?:subscriptions|rules)$/i;

/** In Azure's words, which differ by what was asked of the administration API, and of which kind of entity. */
export function managementMissing(method: string, path: string): string {
  const kind = RULE.test(path) ? "Rule" : SUBSCRIPTION.test(path) ? "Subscription" : undefined;
  if (kind === undefined) return ofQueueOrTopic(method, path);
  const read = COLLECTION.test(path) ? `Enumerate${kind}s` : `Get${kind}`;
  const operation = { GET: read, DELETE: `Delete${kind}` }[method] ?? `CreateOrUpdate${kind}`;
  return `401 SubCode=40100: Unauthorized : Unauthorized access for '${operation}' operation on endpoint '${path}'.`;
}

function ofQueueOrTopic(method: string, path: string): string {
  if (method === "GET") return `Manage,EntityRead claims required for this operation. Resource: '${path}'.`;
  const claim = method === "DELETE" ? "EntityDelete" : "EntityWrite";
  return `Authorization failed for specified action: Manage,${claim}. Resource: '${path}'.`;
}
