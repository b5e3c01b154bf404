/** Where the services of one Azure cloud are. */
export type AzureCloud = {
  /** The end of a Service Bus namespace's name. */
  serviceBus: string;
  keyVault: string;
  blob: string;
};

/** By the host that signs people and machines in, which is the one setting that Azure's SDKs read. */
const CLOUDS: Readonly<Record<string, AzureCloud>> = {
  "login.microsoftonline.com": {
    serviceBus: "servicebus.windows.net",
    keyVault: "vault.azure.net",
    blob: "blob.core.windows.net",
  },
  "login.chinacloudapi.cn": {
    serviceBus: "servicebus.chinacloudapi.cn",
    keyVault: "vault.azure.cn",
    blob: "blob.core.chinacloudapi.cn",
  },
  "login.partner.microsoftonline.cn": {
    serviceBus: "servicebus.chinacloudapi.cn",
    keyVault: "vault.azure.cn",
    blob: "blob.core.chinacloudapi.cn",
  },
  "login.microsoftonline.us": {
    serviceBus: "servicebus.usgovcloudapi.net",
    keyVault: "vault.usgovcloudapi.net",
    blob: "blob.core.usgovcloudapi.net",
  },
};
const PUBLIC = "login.microsoftonline.com";

type Env = Readonly<Record<string, string | undefined>>;

/**
 * The cloud that `AZURE_AUTHORITY_HOST` names; Azure's public one when it is not set.
 * @throws Error for a host that is none of the three clouds': its services have to be named in full
 */
function azureCloud(env: Env): AzureCloud {
  const authority = env.AZURE_AUTHORITY_HOST || PUBLIC;
  const cloud =
    CLOUDS[
      authority
        .replace(/^https:\/\//i, "")
        .replace(/\/.*$/, "")
        .toLowerCase()
    ];
  if (cloud) return cloud;
  throw new Error(
    `AZURE_AUTHORITY_HOST is "${authority}", none of ${Object.keys(CLOUDS).join(", ")}: give the full names of services in other clouds`,
  );
}

/** `contoso`, or a namespace's full name (with a port or not); answers the full name, in the cloud that the environment names. */
export const namespaceName = (name: string, env: Env = process.env): string =>
  /[.:]/.test(name) ? name : `${name}.${azureCloud(env).serviceBus}`;

/** A vault's name or its URL; answers the URL. */
export const keyVaultUrl = (vault: string, env: Env = process.env): string =>
  vault.includes(":") ? vault : `https://${vault}.${azureCloud(env).keyVault}`;

/** A storage account's name or the URL of its blob service; answers the URL. */
export const blobServiceUrl = (account: string, env: Env = process.env): string =>
  account.includes(":") ? account : `https://${account}.${azureCloud(env).blob}`;
