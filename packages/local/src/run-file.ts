import { rmSync } from "node:fs";
import { jsonText, writeAtomically } from "./private-file.ts";

/**
 * `run.json`: where a running Millrace is and how to get in, for scripts and tests. It exists while Millrace is ready,
 * is current at all times, and holds secrets (mode 0600). The form is fixed; fields may be added.
 */
export type Run = {
  /** Base URL of the HTTP API. */
  http: string;
  /** `nats://operator:<password>@127.0.0.1:<port>`; of a cluster, one for each node, comma-separated. */
  nats: string;
  serviceBus: {
    connectionString: string;
    topic: string;
    subscription: string;
    /** What clients that use TLS must trust: those for administration always do. */
    certificateFile: string;
  };
  /**
   * The rest of Azure. `endpoint` and `header` are the `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` of somebody who may do
   * everything there; the certificate is the one to trust (`NODE_EXTRA_CA_CERTS`).
   */
  azure: { keyVault: string; identity: { endpoint: string; header: string }; certificateFile: string };
  /** Bearer token for every HTTP route but health. */
  token: string;
  tenant: string;
  project: string;
  models: readonly string[];
  /** Process ids by name; one that died is absent until it runs again. */
  processes: Readonly<Record<string, number>>;
};

export const writeRunFile = (file: string, run: Run): void => writeAtomically(file, jsonText(run));

export const removeRunFile = (file: string): void => rmSync(file, { force: true });
