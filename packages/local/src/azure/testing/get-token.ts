import { DefaultAzureCredential, ManagedIdentityCredential } from "@azure/identity";

/*
 * Asks for a token as a service does, in a process whose environment says who it is:
 *   node get-token.ts default|managed SCOPE [CLIENT_ID]
 */
const [kind, scope = "", clientId] = process.argv.slice(2);
const credential =
  kind === "managed"
    ? new ManagedIdentityCredential(clientId === undefined ? {} : { clientId })
    : new DefaultAzureCredential();
try {
  process.stdout.write(JSON.stringify(await credential.getToken(scope)));
} catch (error) {
  process.stderr.write((error as Error).message);
  process.exit(1);
}
