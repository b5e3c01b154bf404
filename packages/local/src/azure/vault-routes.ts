import type { KeptSecret, SecretProperties, SecretStore, SecretVersion } from "./secret-store.ts";
import { VaultError } from "./secret-store.ts";
import type { VaultAction } from "./vault-access.ts";

export type VaultRequest = { origin: string; method: string; url: URL; body: unknown };

export const readAction = (method: string | undefined): VaultAction => (method === "GET" ? "read" : "write");

const NAME = /^[0-9a-zA-Z-]{1,127}$/;
/** Key Vault's own limit. */
const VALUE_BYTES_MAX = 25 * 1024;
const PAGE_MAX = 25;
const RECOVERABLE_DAYS = 90;

/**
 * One request of Key Vault's secrets API, its token checked. Undefined: done, and nothing to say (204).
 * @throws VaultError
 */
export function answerVault(store: SecretStore, request: VaultRequest): object | undefined {
  const { method, url } = request;
  const [collection, name, rest, ...more] = url.pathname.split("/").slice(1).filter(Boolean).map(decode);
  if (more.length > 0 || (collection !== "secrets" && collection !== "deletedsecrets")) throw notFound();
  if (name !== undefined && !NAME.test(name)) throw bad("A secret's name has 1 to 127 letters, digits and hyphens.");
  if (collection === "secrets")
    return name === undefined ? listed(store, request) : ofSecret(store, request, name, rest);
  if (name === undefined && method === "GET") {
    const items = store.list({ deleted: true }).map((secret) => deletedItem(secret, request.origin));
    return page(request, items);
  }
  if (name !== undefined) return ofDeleted(store, request, name, rest);
  throw notFound();
}

function listed(store: SecretStore, request: VaultRequest): object {
  if (request.method !== "GET") throw notFound();
  const items = store.list({ deleted: false }).map(({ name, versions }) => {
    return { ...itemOf(name, versions.at(-1)!, request.origin), id: idOf(request.origin, name) };
  });
  return page(request, items);
}

function ofSecret(store: SecretStore, request: VaultRequest, name: string, rest: string | undefined): object {
  const { method, origin, body } = request;
  switch (method) {
    case "GET": {
      if (rest !== "versions") return bundle(name, store.get(name, rest), origin);
      return page(
        request,
        store.versions(name).map((version) => itemOf(name, version, origin)),
      );
    }
    case "PUT": {
      const { value } = (body ?? {}) as { value?: unknown };
      if (rest !== undefined) throw notFound();
      if (typeof value !== "string" || Buffer.byteLength(value) > VALUE_BYTES_MAX)
        throw bad(`A secret's value is a string of up to ${VALUE_BYTES_MAX} bytes.`);
      return bundle(name, store.set(name, value, propertiesOf(body)), origin);
    }
    case "PATCH": {
      const { value: _, ...changed } = bundle(name, store.update(name, rest, propertiesOf(body)), origin);
      return changed;
    }
    case "DELETE":
      return deletedItem(store.delete(name), origin);
    default:
      throw notFound();
  }
}

function ofDeleted(store: SecretStore, request: VaultRequest, name: string, rest: string | undefined) {
  const { method, origin } = request;
  if (method === "GET" && rest === undefined) return deletedItem(store.deleted(name), origin);
  if (method === "POST" && rest === "recover") return itemOf(name, store.recover(name).versions.at(-1)!, origin);
  if (method === "DELETE" && rest === undefined) return store.purge(name) as undefined;
  throw notFound();
}

const notFound = () => new VaultError(404, "NotFound", "This local vault serves secrets only, and not this operation.");
const bad = (message: string) => new VaultError(400, "BadParameter", message);

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw bad("The request URI is malformed.");
  }
}

/** What a request sets; an absent attribute is left as it is. */
function propertiesOf(body: unknown): SecretProperties {
  const { attributes, contentType, tags } = (body ?? {}) as Record<string, unknown>;
  const { enabled, nbf, exp } = (attributes ?? {}) as Record<string, unknown>;
  const isTags = (value: unknown) =>
    typeof value === "object" && value !== null && Object.values(value).every((tag) => typeof tag === "string");
  const wrong = [
    enabled !== undefined && typeof enabled !== "boolean",
    nbf !== undefined && !Number.isSafeInteger(nbf),
    exp !== undefined && !Number.isSafeInteger(exp),
    contentType !== undefined && typeof contentType !== "string",
    tags !== undefined && !isTags(tags),
  ].includes(true);
  if (wrong) throw bad("attributes.enabled, attributes.nbf, attributes.exp, contentType or tags has the wrong form.");
  const given = Object.entries({ enabled, nbf, exp, contentType, tags }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as SecretProperties;
}

const idOf = (origin: string, name: string, version?: string) =>
  `${origin}/secrets/${name}${version === undefined ? "" : `/${version}`}`;

function itemOf(name: string, secret: SecretVersion, origin: string) {
  const { version, value: _, enabled, nbf, exp, created, updated, ...rest } = secret;
  const recovery = { recoveryLevel: "Recoverable+Purgeable", recoverableDays: RECOVERABLE_DAYS };
  return { id: idOf(origin, name, version), attributes: { enabled, nbf, exp, created, updated, ...recovery }, ...rest };
}

const bundle = (name: string, secret: SecretVersion, origin: string) => ({
  value: secret.value,
  ...itemOf(name, secret, origin),
});

const deletedItem = ({ name, versions, deleted_s = 0 }: KeptSecret, origin: string) => ({
  ...itemOf(name, versions.at(-1)!, origin),
  recoveryId: `${origin}/deletedsecrets/${name}`,
  deletedDate: deleted_s,
  scheduledPurgeDate: deleted_s + RECOVERABLE_DAYS * 86_400,
});

/** A page of at most 25, as Key Vault's are, and where the next one is. */
function page({ url }: VaultRequest, items: readonly object[]): object {
  const most = Number(url.searchParams.get("maxresults") ?? PAGE_MAX);
  if (!Number.isInteger(most) || most < 1 || most > PAGE_MAX) throw bad(`maxresults goes from 1 to ${PAGE_MAX}.`);
  const start = Number(url.searchParams.get("$skiptoken") ?? 0);
  if (!Number.isInteger(start) || start < 0) throw bad("$skiptoken is not one of ours.");
  const next = new URL(url);
  next.searchParams.set("$skiptoken", String(start + most));
  return {
    value: items.slice(start, start + most),
    nextLink: start + most < items.length ? next.href : null,
  };
}
