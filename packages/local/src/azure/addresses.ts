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

/** Where a part of the local Azure is: on loopback unless told otherwise, as between the containers of one network. */
export type ListenOptions = {
  /** 0 takes a free one. */
  port: number;
  /** The address to listen on. @default 127.0.0.1 */
  host?: string;
  /** The name that its clients know it by. @default loopback's */
  name?: string;
};

/** Where the identity route is, known before it is started: who only needs to know loads no cryptography. */
export function identityAddresses({ port, name = "127.0.0.1" }: ListenOptions): IdentityAddresses {
  const origin = `http://${name}:${port}`;
  return { issuer: `${origin}/${TENANT_ID}/`, jwksUri: `${origin}${KEYS_PATH}`, endpoint: `${origin}${TOKEN_PATH}` };
}

/** The vault's; its certificate must have the name. */
export const vaultUrl = ({ port, name = "localhost" }: ListenOptions): string => `https://${name}:${port}`;
