import { keyVaultSecret, openSecret } from "@millrace/azure/secrets";

/** Reads a secret as a service does, in a process whose environment says who it is and which proxy leads out. */
using secret = openSecret(keyVaultSecret(process.argv[2] ?? "", "argument"));
process.stdout.write(JSON.stringify(await secret.values()));
