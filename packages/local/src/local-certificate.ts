import { existsSync, readFileSync } from "node:fs";
import { type DataDir, writeAtomically } from "./data-dir.ts";

/** The one certificate of everything here that speaks TLS: it is its own authority. */
export type LocalCertificate = {
  keyFile: string;
  certificateFile: string;
  /** For `NODE_EXTRA_CA_CERTS`: our certificate, and what the user trusts besides the public ones. */
  trustFile: string;
};

const HOSTS = ["localhost", "127.0.0.1", "::1"];

/** Makes it on first use, and keeps it: who trusts it once does so from then on. */
export async function localCertificate(dataDir: DataDir): Promise<LocalCertificate> {
  const [keyFile, certificateFile, trustFile] = ["key.pem", "certificate.pem", "trust.pem"].map((name) =>
    dataDir.file("tls", name),
  ) as [string, string, string];
  if (!existsSync(keyFile) || !existsSync(certificateFile)) {
    const { makeCertificate } = await import("@millrace/servicebus"); // once: it brings the whole broker along
    const { key, cert } = makeCertificate(HOSTS, new Date());
    writeAtomically(keyFile, key);
    writeAtomically(certificateFile, cert);
  }
  const theirs = process.env.NODE_EXTRA_CA_CERTS;
  const trusted = theirs && existsSync(theirs) ? readFileSync(theirs, "utf8") : "";
  writeAtomically(trustFile, `${readFileSync(certificateFile, "utf8")}${trusted}`);
  return { keyFile, certificateFile, trustFile };
}
