import { createHash } from "node:crypto";

/** The tenant that everybody here belongs to. */
export const TENANT_ID = uuidOf("tenant");

/** A service principal: whom a token is issued to. */
export type Principal = {
  name: string;
  /** The object id, `oid` of its tokens: what roles are assigned to. */
  principalId: string;
  /** The application id, `appid` of its tokens: what `AZURE_CLIENT_ID` names. */
  clientId: string;
  /** Digest of the secret that its process shows (`IDENTITY_HEADER`). */
  headerSha256: string;
};

/** The principal of a process; its ids follow from its name, so that they are the same at each start. */
export function principalOf(name: string, identityHeader: string): Principal {
  return {
    name,
    principalId: uuidOf(`principal ${name}`),
    clientId: uuidOf(`client ${name}`),
    headerSha256: digestOfHeader(identityHeader),
  };
}

export const digestOfHeader = (header: string): string => createHash("sha256").update(header).digest("hex");

/** A UUID made of a name (RFC 9562, version 8). */
function uuidOf(name: string): string {
  const bytes = createHash("sha256").update(`millrace local azure: ${name}`).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
