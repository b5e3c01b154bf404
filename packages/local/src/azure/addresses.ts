import { TENANT_ID } from "./principal.ts";

export const TOKEN_PATH = "/msi/token";
export const KEYS_PATH = `/${TENANT_ID}/discovery/keys`;

export type IdentityAddresses = {
  /** `iss` of every token. */
  issuer: string;
  jwksUri: string;
  /** `IDENTITY_ENDPOINT` of a process; its `IDENTITY_HEADER` says who it is. */
  endpoint: string;
};

/** Where the identity route is, known before it is started: who only needs to know loads no cryptography. */
export const identityAddresses = (port: number): IdentityAddresses => ({
  issuer: `http://127.0.0.1:${port}/${TENANT_ID}/`,
  jwksUri: `http://127.0.0.1:${port}${KEYS_PATH}`,
  endpoint: `http://127.0.0.1:${port}${TOKEN_PATH}`,
});

/** The vault's; its certificate names `localhost`. */
export const vaultUrl = (port: number): string => `https://localhost:${port}`;
