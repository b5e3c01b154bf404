import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { type ListenOptions, vaultUrl } from "./addresses.ts";
import { listen } from "./listen.ts";
import { SecretStore, VaultError } from "./secret-store.ts";
import { VAULT_AUDIENCE, type VaultAccessOptions, vaultAccess } from "./vault-access.ts";
import { answerVault, readAction } from "./vault-routes.ts";

export type VaultOptions = VaultAccessOptions &
  ListenOptions & {
    /** PEM; clients must trust the certificate. */
    key: string;
    certificate: string;
    /** Where the secrets are kept. */
    secretsFile: string;
    /** Set at the start, unless they are what the latest version has already. */
    seeds?: Readonly<Record<string, string>>;
    now?: () => number;
  };

/** A local Key Vault for secrets. */
export type Vault = AsyncDisposable & { readonly port: number; readonly url: string };

const BODY_BYTES_MAX = 64 * 1024;
/** The first with secrets as they are today; the versions since differ in what is not served here. */
const API_VERSION = /^(7\.\d|20\d\d-\d\d-\d\d)(-preview(\.\d+)?)?$/;

/**
 * Serves the secrets part of Key Vault's REST API over TLS, as the unmodified `@azure/keyvault-secrets` uses it: a
 * request without a token is challenged, one with a token is checked.
 * https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups
 */
export async function startVault(options: VaultOptions): Promise<Vault> {
  const store = new SecretStore(options.secretsFile, options.now);
  seed(store, options.seeds ?? {});
  const access = vaultAccess(options);
  const challenge = `Bearer authorization="${options.issuer.replace(/\/$/, "")}", resource="${VAULT_AUDIENCE}"`;

  const answer = async (request: IncomingMessage): Promise<object | undefined> => {
    const url = new URL(request.url ?? "/", origin);
    await access.check(request.headers.authorization, readAction(request.method));
    if (!API_VERSION.test(url.searchParams.get("api-version") ?? ""))
      throw new VaultError(400, "BadParameter", "The request URI must name an api-version from 7.0 on.");
    return answerVault(store, { origin, method: request.method ?? "", url, body: await readBody(request) });
  };
  const server = createServer({ key: options.key, cert: options.certificate }, (request, response) => {
    answer(request).then(
      (body) => send(response, body === undefined ? 204 : 200, body),
      (error: unknown) => {
        const { status, code, message } =
          error instanceof VaultError ? error : new VaultError(500, "InternalError", "The local vault failed.");
        if (status === 401) response.setHeader("www-authenticate", challenge);
        send(response, status, { error: { code, message } });
        request.resume(); // a body that nobody wants
      },
    );
  });
  const listening = await listen(server, options);
  const origin = vaultUrl({ ...options, port: listening.port });
  return { port: listening.port, url: origin, [Symbol.asyncDispose]: listening.close };
}

function seed(store: SecretStore, seeds: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(seeds)) {
    const there = store.list({ deleted: false }).find((secret) => secret.name === name);
    if (there?.versions.at(-1)?.value !== value) store.set(name, value, {});
  }
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new VaultError(413, "BadParameter", "The request is too large.");
    chunks.push(chunk);
  }
  if (bytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new VaultError(400, "BadParameter", "The request body is no JSON.");
  }
}

function send(response: ServerResponse, status: number, body: object | undefined): void {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8", "cache-control": "no-store" });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
