import type { TokenCredential } from "@azure/identity";

/**
 * The process's identity: managed identity or workload identity in Azure, a developer's sign-in elsewhere. The SDK reads
 * the cloud (`AZURE_AUTHORITY_HOST`), the kind (`AZURE_TOKEN_CREDENTIALS`), which identity (`AZURE_CLIENT_ID`) and the
 * proxy (`HTTPS_PROXY`, `NO_PROXY`) from the environment. It costs half a second to load, which a connection string does
 * not need and a start need not wait for: it is loaded when the first token is asked for.
 */
export const credential = (): TokenCredential => shared;

let loaded: Promise<TokenCredential> | undefined;

const load = (): Promise<TokenCredential> =>
  (loaded ??= import("@azure/identity").then(({ DefaultAzureCredential }) => new DefaultAzureCredential()));

const shared: TokenCredential = { getToken: async (...asked) => (await load()).getToken(...asked) };
