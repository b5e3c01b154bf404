import { createHmac, timingSafeEqual } from "node:crypto";
import type { Right } from "./rights.ts";

export interface AccessKey {
  readonly name: string;
  readonly key: string;
  /** What whoever has the key may do. */
  readonly rights: readonly Right[];
  /** The queue or topic it is good for; "" for the whole namespace. */
  readonly scope: string;
}

export type TokenVerdict =
  | { readonly ok: true; readonly expiresAt: number; readonly accessKey: AccessKey }
  | { readonly ok: false; readonly why: string; readonly expiredAt?: number };

/**
 * Checks a shared access signature, `SharedAccessSignature sr=<uri>&sig=<base64 hmac>&se=<epoch s>&skn=<key name>`, where the
 * signature is HMAC-SHA256 over `<sr as sent>\n<se>` with the key's text.
 * @param audience the entity the token is put for; the token's `sr` must be that URI or a parent of it
 */
export function checkSharedAccessSignature(
  token: string,
  options: { audience: string; accessKeys: readonly AccessKey[]; now: number },
): TokenVerdict {
  const prefix = "SharedAccessSignature ";
  if (!token.startsWith(prefix)) return { ok: false, why: "the token is not a shared access signature" };
  const parts = new Map(
    token
      .slice(prefix.length)
      .split("&")
      .map((part) => [part.slice(0, part.indexOf("=")), part.slice(part.indexOf("=") + 1)] as const),
  );
  const resource = parts.get("sr");
  const signature = parts.get("sig");
  const expiry = parts.get("se");
  const keyName = parts.get("skn");
  if (!resource || !signature || !expiry || !keyName)
    return { ok: false, why: "the token lacks one of sr, sig, se, skn" };
  const ofName = options.accessKeys.filter(({ name }) => name === decode(keyName));
  if (ofName.length === 0) return { ok: false, why: "the key name is unknown" };
  const given = Buffer.from(decode(signature), "base64");
  const accessKey = ofName.find(({ key }) => {
    const expected = createHmac("sha256", key).update(`${resource}\n${expiry}`).digest();
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
  if (!accessKey) return { ok: false, why: "the signature does not fit the key" };
  const expiresAt = Number(expiry) * 1000;
  if (!(expiresAt > options.now)) return { ok: false, why: "the token has expired", expiredAt: expiresAt };
  if (!covers(decode(resource), options.audience)) {
    return { ok: false, why: "the token was signed for another audience" };
  }
  return { ok: true, expiresAt, accessKey };
}

/** What is not well encoded can be no name, signature or scope of ours. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Whether a path (or URI) equals a scope or lies below it, segment by segment, without case. */
export function covers(scope: string, path: string): boolean {
  const parent = trim(scope);
  const child = trim(path);
  return parent === "" || child === parent || child.startsWith(`${parent}/`);
}

const trim = (path: string) =>
  path
    .toLowerCase()
    .replace(/^[a-z]+:\/\//, "")
    .replace(/^\/+|\/+$/g, "");

/** `sb://host/queue/` → `queue`: addresses come as plain names (JS, Go) or as URIs (Python). */
export function entityPath(address: string): string {
  return address.replace(/^[a-z]+:\/\/[^/]*\/?/i, "").replace(/^\/+|\/+$/g, "");
}
