import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { makeCertificate } from "@millrace/servicebus";
import { expect, onTestFinished, test } from "vitest";
import { keptCertificate } from "./local-certificate.ts";
import { writeAtomically } from "./private-file.ts";

function scratch(): string {
  const directory = mkdtempSync(path.join(tmpdir(), "millrace-tls-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test("a certificate is made once and kept, as long as it has every name", async () => {
  const directory = scratch();
  const first = await keptCertificate(directory, ["azure", "localhost", "::1"]);
  expect((await keptCertificate(directory, ["localhost", "azure"])).certificate).toBe(first.certificate);
  const wider = await keptCertificate(directory, ["azure", "servicebus"]);
  expect(wider.certificate).not.toBe(first.certificate);
  expect(new X509Certificate(wider.certificate).checkHost("servicebus")).toBe("servicebus");
});

test("one that ends within a month is replaced", async () => {
  const directory = scratch();
  const now = new Date();
  const made = new Date(now);
  made.setUTCFullYear(now.getUTCFullYear() - 10);
  made.setUTCDate(made.getUTCDate() + 20); // it is good for ten years
  const old = makeCertificate(["localhost"], made);
  writeAtomically(path.join(directory, "key.pem"), old.key);
  writeAtomically(path.join(directory, "certificate.pem"), old.cert);
  const { certificate } = await keptCertificate(directory, ["localhost"]);
  expect(certificate).not.toBe(old.cert);
  expect(new X509Certificate(certificate).validToDate.getTime()).toBeGreaterThan(now.getTime() + 365 * 86_400_000);
});
