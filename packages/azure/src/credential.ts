import type { TokenCredential } from "@azure/identity";

let shared: Promise<TokenCredential> | undefined;

/**
 * The process's identity: managed identity or workload identity in Azure, a developer's sign-in elsewhere. Loaded on
 * first use, because the SDK costs half a second that a connection string does not need.
 */
export const credential = (): Promise<TokenCredential> =>
  (shared ??= import("@azure/identity").then(({ DefaultAzureCredential }) => new DefaultAzureCredential()));
