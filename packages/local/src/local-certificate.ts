import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import path from "node:path";
import { readIfThere, writeAtomically } from "./private-file.ts";

/** The one certificate of everything here that speaks TLS: it is its own authority. PEM. */
export type KeptCertificate = { key: string; certificate: string; keyFile: string; certificateFile: string };

/** The same with the file that makes a process trust it. */
export type LocalCertificate = KeptCertificate & {
  /** For `NODE_EXTRA_CA_CERTS`: our certificate, and what the user trusts besides the public ones. */
  trustFile: string;
};

export const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "::1"] as const;
/** One that ends sooner is replaced: whoever trusts it is started again in that time. */
const LEFT_MIN_MS = 30 * 86_400_000;

/** Makes it on first use, and keeps it: who trusts it once does so from then on. Another one only when names are missing or it ends. */
export async function keptCertificate(directory: string, names: readonly string[]): Promise<KeptCertificate> {
  const [keyFile, certificateFile] = ["key.pem", "certificate.pem"].map((name) => path.join(directory, name)) as [
    string,
    string,
  ];
  const [key, certificate] = [keyFile, certificateFile].map(readIfThere);
  if (key && certificate && isGood(certificate, names)) return { key, certificate, keyFile, certificateFile };
  const { makeCertificate } = await import("@millrace/servicebus"); // once: it brings the whole broker along
  const made = makeCertificate(names, new Date());
  writeAtomically(keyFile, made.key);
  writeAtomically(certificateFile, made.cert);
  return { key: made.key, certificate: made.cert, keyFile, certificateFile };
}

/** The certificate of what runs on loopback. */
export async function localCertificate(directory: string): Promise<LocalCertificate> {
  const kept = await keptCertificate(directory, LOOPBACK_NAMES);
  const trustFile = path.join(directory, "trust.pem");
  const theirs = process.env.NODE_EXTRA_CA_CERTS;
  writeAtomically(trustFile, `${kept.certificate}${(theirs && readIfThere(theirs)) || ""}`);
  return { ...kept, trustFile };
}

function isGood(certificate: string, names: readonly string[]): boolean {
  const parsed = new X509Certificate(certificate);
  if (parsed.validToDate.getTime() - Date.now() < LEFT_MIN_MS) return false;
  return names.every((name) => (isIP(name) ? parsed.checkIP(name) : parsed.checkHost(name)) !== undefined);
}
