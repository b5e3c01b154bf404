import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type Certificate, makeCertificate } from "./local-certificate.ts";

/** A certificate for this machine; kept with the data, if any, so that a client that trusts it still does after a restart. */
export function keptCertificate({ dataDir, host }: { dataDir?: string; host: string }): Certificate {
  const fresh = () => makeCertificate([...new Set(["localhost", "127.0.0.1", "::1", host])], new Date());
  if (dataDir === undefined) return fresh();
  const keyFile = path.join(dataDir, "tls-key.pem");
  const certificateFile = path.join(dataDir, "tls-certificate.pem");
  if (existsSync(keyFile) && existsSync(certificateFile)) {
    return { key: readFileSync(keyFile, "utf8"), cert: readFileSync(certificateFile, "utf8") };
  }
  const certificate = fresh();
  writeFileSync(keyFile, certificate.key, { mode: 0o600 });
  writeFileSync(certificateFile, certificate.cert);
  return certificate;
}
