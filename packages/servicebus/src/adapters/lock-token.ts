/*
 * A lock token is a UUID that travels in two byte orders: as delivery tag in .NET's GUID layout (the first three groups
 * little-endian), in `$management` requests in network order.
 */

export const tokenToTag = (token: string): Buffer => swapGroups(tokenToUuid(token));

export const tokenToUuid = (token: string): Buffer => Buffer.from(token.replaceAll("-", ""), "hex");

export function uuidToToken(uuid: Buffer): string {
  const hex = uuid.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function swapGroups(uuid: Buffer): Buffer {
  const tag = Buffer.from(uuid);
  tag.subarray(0, 4).reverse();
  tag.subarray(4, 6).reverse();
  tag.subarray(6, 8).reverse();
  return tag;
}
