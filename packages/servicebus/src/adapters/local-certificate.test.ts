import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { expect, test } from "vitest";
import { makeCertificate } from "./local-certificate.ts";

test("a certificate is for its hosts, signed with its own key, and good for ten years", () => {
  const now = new Date("2026-11-30T12:00:00Z");
  const { cert, key } = makeCertificate(["localhost", "127.0.0.1", "::1"], now);
  const certificate = new X509Certificate(cert);
  expect(certificate.subjectAltName).toBe("DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1");
  expect(certificate.checkHost("localhost")).toBe("localhost");
  expect(certificate.checkIP("127.0.0.1")).toBe("127.0.0.1");
  expect(certificate.checkIP("127.0.0.2")).toBe(undefined);
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(certificate.ca).toBe(true);
  expect(certificate.validFromDate).toEqual(now);
  expect(certificate.validToDate).toEqual(new Date("2036-11-30T12:00:00Z"));
  expect(key).toContain("PRIVATE KEY");
});

test("of whatever length it is, OpenSSL reads it", () => {
  for (let length = 1; length <= 63; length++) createSecureContext(makeCertificate(["a".repeat(length)], new Date()));
});
