import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { SignJWT } from "jose";
import { type IdentityAddresses, identityAddresses, KEYS_PATH, type ListenOptions, TOKEN_PATH } from "./addresses.ts";
import { listen } from "./listen.ts";
import { digestOfHeader, type Principal, TENANT_ID } from "./principal.ts";
import { ALGORITHM, openSigningKeys, type SigningKeys } from "./signing-keys.ts";

export type IdentityOptions = ListenOptions & {
  principals: readonly Principal[];
  /** Where the signing keys are kept. */
  keysFile: string;
  /** How long a token is valid. @default 3600; Azure gives a managed identity 24 hours */
  token_s?: number;
  now?: () => number;
};

/** A local Entra ID for managed identities. */
export type Identity = AsyncDisposable &
  Readonly<IdentityAddresses> & {
    readonly port: number;
    /** A new signing key; tokens of the one before it stay good. */
    rotate(): Promise<void>;
  };

const DISCOVERY_PATHS: readonly string[] = [
  "/.well-known/openid-configuration",
  `/${TENANT_ID}/.well-known/openid-configuration`,
];
const API_VERSION = "2019-08-01";
const TOKEN_S = 3_600;
const RESOURCE_CHARACTERS_MAX = 256;
/** Clocks of two processes on one machine agree; Entra allows for more, and so do verifiers. */
const NOT_BEFORE_SKEW_S = 5;

/**
 * Serves the App Service managed-identity protocol, which the unmodified `@azure/identity` speaks when
 * `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` are set, and what is needed to verify the tokens it issues.
 * https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
 */
export async function startIdentity(options: IdentityOptions): Promise<Identity> {
  const { token_s = TOKEN_S, now = Date.now } = options;
  const keys = await openSigningKeys({ file: options.keysFile, overlap_ms: token_s * 1_000, now });
  const byHeader = new Map(options.principals.map((principal) => [principal.headerSha256, principal]));
  const server = createServer((request, response) => {
    answer(request).then(
      ({ status, body }) => send(response, status, body),
      () => send(response, 500, problem(500, "the token could not be signed")),
    );
  });
  const answer = async (request: IncomingMessage): Promise<Answer> => {
    const url = new URL(request.url ?? "/", "http://localhost");
    if (request.method !== "GET") return refuse(405, "only GET is served");
    if (url.pathname === KEYS_PATH) return { status: 200, body: keys.published() };
    if (DISCOVERY_PATHS.includes(url.pathname)) return { status: 200, body: discovery(addresses) };
    if (url.pathname !== TOKEN_PATH) return refuse(404, "there is nothing here");
    const header = request.headers["x-identity-header"];
    const principal = typeof header === "string" ? byHeader.get(digestOfHeader(header)) : undefined;
    if (principal === undefined) return refuse(401, "X-IDENTITY-HEADER is not that of a principal");
    const asked = readQuery(url.searchParams, principal);
    if (!asked.ok) return refuse(400, asked.why);
    const { token, expires_s } = await issue(keys, { ...addresses, principal, resource: asked.resource, token_s, now });
    const body = {
      access_token: token,
      expires_on: String(expires_s),
      resource: asked.resource,
      token_type: "Bearer",
      client_id: principal.clientId,
    };
    return { status: 200, body };
  };
  const listening = await listen(server, options);
  const addresses = identityAddresses({ ...options, port: listening.port });
  return { port: listening.port, ...addresses, rotate: keys.rotate, [Symbol.asyncDispose]: listening.close };
}

type Answer = { status: number; body: object };

const problem = (statusCode: number, message: string) => ({ statusCode, message, correlationId: randomUUID() });
const refuse = (status: number, message: string): Answer => ({ status, body: problem(status, message) });

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}

/** One process has one identity: naming another one is refused, as Azure refuses one that is not assigned. */
function readQuery(query: URLSearchParams, principal: Principal): { ok: true; resource: string } | NotOk {
  const no = (why: string): NotOk => ({ ok: false, why });
  if (query.get("api-version") !== API_VERSION) return no(`api-version must be ${API_VERSION}`);
  const resource = query.get("resource") ?? "";
  if (!URL.canParse(resource) || resource.length > RESOURCE_CHARACTERS_MAX) return no("resource must be a URI");
  const named = [
    [query.get("client_id"), principal.clientId],
    [query.get("principal_id") ?? query.get("object_id"), principal.principalId],
  ];
  if (query.has("mi_res_id") || named.some(([given, own]) => given !== null && given !== own))
    return no("no such identity is assigned to this process");
  return { ok: true, resource };
}

type NotOk = { ok: false; why: string };

type Issue = {
  issuer: string;
  principal: Principal;
  resource: string;
  token_s: number;
  now: () => number;
};

/** An access token in the form of Entra's version 1.0, which is the one managed identities get. */
async function issue(keys: SigningKeys, { issuer, principal, resource, token_s, now }: Issue) {
  const { kid, key } = await keys.current();
  const issued_s = Math.floor(now() / 1_000);
  const expires_s = issued_s + token_s;
  const claims = {
    appid: principal.clientId,
    appidacr: "2",
    idp: issuer,
    idtyp: "app",
    oid: principal.principalId,
    tid: TENANT_ID,
    uti: randomUUID(),
    ver: "1.0",
    xms_mirid: `/subscriptions/local/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${principal.name}`,
  };
  const token = await new SignJWT(claims)
    .setProtectedHeader({ typ: "JWT", alg: ALGORITHM, kid, x5t: kid })
    .setIssuer(issuer)
    .setSubject(principal.principalId)
    .setAudience(resource)
    .setIssuedAt(issued_s)
    .setNotBefore(issued_s - NOT_BEFORE_SKEW_S)
    .setExpirationTime(expires_s)
    .sign(key);
  return { token, expires_s };
}

const discovery = ({ issuer, jwksUri, endpoint }: IdentityAddresses) => ({
  issuer,
  jwks_uri: jwksUri,
  token_endpoint: endpoint,
  id_token_signing_alg_values_supported: [ALGORITHM],
  response_types_supported: ["token"],
  subject_types_supported: ["public"],
});
