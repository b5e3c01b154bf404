/** Secrets without the Service Bus client, which takes a second to load. */
export { openSecret, type Secret, SecretError, type SecretOptions, type SecretValues } from "./secret.ts";
export { keyVaultSecret, type SecretSource, secretSource } from "./secret-source.ts";
