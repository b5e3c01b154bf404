import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { EntraSettings } from "../src/index.ts";
import { openIssuer } from "../src/testing/entra-issuer.ts";

/** What the SDKs' tests are, as far as the broker is concerned. */
const PRINCIPAL = "the-tests";

/**
 * The token route of a managed identity, as App Service has one, and the issuer behind it. The identity owns the whole
 * namespace.
 */
export async function serveTokens() {
  await using stack = new AsyncDisposableStack();
  const issuer = stack.use(await openIssuer());
  const secret = randomUUID();
  const server = createServer(async (request, response) => {
    if (request.headers["x-identity-header"] !== secret) {
      response.writeHead(401).end();
      return;
    }
    const expiresAt = Math.floor(Date.now() / 1000) + 3_600;
    const resource = new URL(request.url ?? "/", "http://localhost").searchParams.get("resource");
    const token = await issuer.token({ oid: PRINCIPAL, exp: expiresAt });
    response.writeHead(200, { "content-type": "application/json" });
    response.end(
      JSON.stringify({ access_token: token, expires_on: String(expiresAt), resource, token_type: "Bearer" }),
    );
  });
  server.listen({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  stack.defer(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  });
  const { port } = server.address() as AddressInfo;
  const entra: EntraSettings = issuer.settings([{ principalId: PRINCIPAL, role: "Azure Service Bus Data Owner" }]);
  const owned = stack.move();
  return {
    entra,
    environment: { IDENTITY_ENDPOINT: `http://127.0.0.1:${port}/msi/token`, IDENTITY_HEADER: secret },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
