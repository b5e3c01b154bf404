import type { webcrypto } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TokenCredential } from "@azure/service-bus";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import type { EntraSettings } from "../index.ts";

export const ISSUER = "https://login.example/tenant/v2.0";

/** What stands for Entra ID: a key, a place where its public half is, and tokens signed with it. */
export async function openIssuer() {
  const { publicKey, privateKey } = await generateKeyPair("RS256");
  const keys = [{ ...(await exportJWK(publicKey)), kid: "one", alg: "RS256", use: "sig" }];
  let fetches = 0;
  let broken = false;
  const server = createServer((_request, response) => {
    fetches++;
    response.statusCode = broken ? 500 : 200;
    response.end(JSON.stringify({ keys }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  return {
    get fetches() {
      return fetches;
    },
    set broken(value: boolean) {
      broken = value;
    },
    /** Claims that are given replace those of a good token; `undefined` leaves one out. */
    token(claims: JWTPayload = {}, options: { kid?: string; key?: webcrypto.CryptoKey } = {}): Promise<string> {
      const now = Math.floor(Date.now() / 1000);
      const good = { iss: ISSUER, aud: "https://servicebus.azure.net", oid: "app", iat: now, nbf: now, exp: now + 600 };
      return new SignJWT({ ...good, ...claims })
        .setProtectedHeader({ alg: "RS256", kid: options.kid ?? "one" })
        .sign(options.key ?? privateKey);
    },
    settings(roleAssignments: EntraSettings["roleAssignments"]): EntraSettings {
      return { issuer: ISSUER, jwksUri: `http://127.0.0.1:${port}/keys`, roleAssignments };
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A credential as applications have one; `renewInMs` is when the SDK will ask again. */
export function credentialOf(next: () => string | Promise<string>, renewInMs = 3_600_000) {
  const sdkRenewsBefore = 120_000;
  const credential: TokenCredential & { asked: number } = {
    asked: 0,
    async getToken() {
      credential.asked++;
      return { token: await next(), expiresOnTimestamp: Date.now() + renewInMs + sdkRenewsBefore };
    },
  };
  return credential;
}
