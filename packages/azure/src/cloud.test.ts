import { expect, it } from "vitest";
import { blobServiceUrl, keyVaultUrl, namespaceName } from "./cloud.ts";

const all = (authority?: string) => {
  const env = authority === undefined ? {} : { AZURE_AUTHORITY_HOST: authority };
  return [namespaceName("contoso", env), keyVaultUrl("contoso", env), blobServiceUrl("contoso", env)];
};

it.each([
  [undefined, ["servicebus.windows.net", "vault.azure.net", "blob.core.windows.net"]],
  ["https://login.microsoftonline.com/", ["servicebus.windows.net", "vault.azure.net", "blob.core.windows.net"]],
  ["https://login.chinacloudapi.cn", ["servicebus.chinacloudapi.cn", "vault.azure.cn", "blob.core.chinacloudapi.cn"]],
  [
    "login.microsoftonline.us",
    ["servicebus.usgovcloudapi.net", "vault.usgovcloudapi.net", "blob.core.usgovcloudapi.net"],
  ],
])("a short name is completed in the cloud of %s", (authority, [bus, vault, blob]) => {
  expect(all(authority)).toEqual([`contoso.${bus}`, `https://contoso.${vault}`, `https://contoso.${blob}`]);
});

it("a full name is taken as it is, in any cloud; a short one in a cloud nobody knows is refused", () => {
  const env = { AZURE_AUTHORITY_HOST: "https://login.corp.example" };
  expect(namespaceName("bus.corp.example", env)).toBe("bus.corp.example");
  expect(namespaceName("localhost:5671", env)).toBe("localhost:5671");
  expect(keyVaultUrl("https://localhost:8443", env)).toBe("https://localhost:8443");
  expect(() => namespaceName("bus", env)).toThrow(/login\.corp\.example.*full names/);
});
