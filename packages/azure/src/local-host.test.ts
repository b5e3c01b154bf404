import { expect, test } from "vitest";
import { isLocalHost } from "./local-host.ts";

const hostOf = (url: string) => new URL(url).hostname;

test("loopback and names of a container network are local", () => {
  for (const url of [
    "https://localhost:8443",
    "https://127.0.0.1",
    "https://[::1]:1",
    "https://azure:8443",
    "https://key-vault",
  ])
    expect(isLocalHost(hostOf(url)), url).toBe(true);
});

test("a name with a domain, and any other address, is not, however it is written", () => {
  const others = [
    "https://acme.vault.azure.net",
    "https://azure.",
    "https://localhost.evil.example",
    "https://127.0.0.1.evil.example",
    "https://10.0.0.5",
    "https://169.254.169.254",
    "https://[::2]",
    "https://[::ffff:10.0.0.5]",
  ];
  for (const url of others) expect(isLocalHost(hostOf(url)), url).toBe(false);
});
