import { PROJECT, TENANT } from "../project.ts";

/** The model that the demonstration asks. */
export const MODEL = "failure-risk";
const THRESHOLD = 0.8;

/** What the demonstration's webhooks are signed with, by its name in Key Vault. */
export const WEBHOOK_SECRET = "demo-webhook";

/** Of whom the demonstration is told, as a rule of the notifier. @param secret where the notifier finds the webhook's secret */
export const demoRule = (url: string, secret: { keyVault: string } | { file: string }) => ({
  name: "at-risk",
  tenant: TENANT,
  project: PROJECT,
  model: MODEL,
  when: { output: "failure_probability", op: ">=", value: THRESHOLD },
  webhook: { url, secret },
});

/** The secret's identifier in a vault. */
export const secretInVault = (keyVault: string) => ({ keyVault: `${keyVault}/secrets/${WEBHOOK_SECRET}` });
