import { SERVICE_NAMES, type ServiceName, USERS } from "@millrace/contracts/permissions";
import { identityAddresses, vaultUrl } from "../azure/addresses.ts";
import { azureConfig, serviceBusAccess } from "../azure-access.ts";
import { demoRule, secretInVault, WEBHOOK_SECRET } from "../demo/rule.ts";
import type { Identities } from "../identities.ts";
import type { KeptCertificate } from "../local-certificate.ts";
import { natsConfig, SYSTEM_USER } from "../nats-config.ts";
import { jsonText } from "../private-file.ts";
import { authorizationHeader, PROJECT, TENANT, tokensFile } from "../project.ts";
import type { Run } from "../run-file.ts";
import { connectionStringOf, SUBSCRIPTIONS, serviceBusEntities, TOPIC } from "../service-bus-entities.ts";
import { API, CONFIG, DATA, IDENTITY, NATS, NATS_NODES, SERVICE_BUS, VAULT, WEBHOOK } from "./network.ts";
import { emulator, ROUTES } from "./routes.ts";
import type { VaultChoice } from "./vault-choice.ts";

/** What is made once and kept: everything else follows from it, and is written anew each time. */
export type Kept = {
  token: string;
  /** Of a NATS user, or of its system user. */
  natsPassword: (user: string) => string;
  /** Between the nodes of a cluster. */
  routePassword: string;
  serviceBusKey: string;
  webhookSecret: string;
  identities: Identities;
  certificate: KeptCertificate;
};

/** The files of a volume, by name. Those of {@link PUBLIC} are for a process that runs as somebody else. */
export type Volume = Readonly<Record<string, string>>;
export const PUBLIC: readonly string[] = ["servicebus-emulator"];

/**
 * What stands in the configuration volume of each process: what it needs, and nothing that is another's. Whatever grants
 * access is in files of mode 0600, and never in the environment that `docker inspect` shows.
 */
export function volumesOf(kept: Kept, { models, vault }: { models: readonly string[]; vault: VaultChoice }) {
  const { certificate: tls, identities } = kept;
  const trust = { "trust.pem": tls.certificate };
  const identity = (name: Parameters<Identities["headerOf"]>[0]) => ({
    "identity.env": `IDENTITY_HEADER=${identities.headerOf(name)}\n`,
  });
  const nats = (user: ServiceName) => ({ "nats-password": `${kept.natsPassword(user)}\n` });
  const system = { "nats-system-password": `${kept.natsPassword(SYSTEM_USER)}\n` };
  const server = { "key.pem": tls.key, "certificate.pem": tls.certificate };
  const routes = { "routes.json": jsonText(ROUTES) };
  const services = {
    ingest: { ...nats("ingest"), "tokens.json": jsonText(tokensFile(kept.token)) },
    inference: nats("inference"),
    notifier: { ...nats("notifier"), ...identity("notifier"), ...trust, ...rules(kept, vault) },
    audit: nats("audit"),
    bridge: { ...nats("bridge"), ...identity("bridge"), ...trust, ...routes },
    keeper: { ...nats("keeper"), ...system },
  } satisfies Record<ServiceName, Volume>;
  return {
    ...services,
    nats: natsFiles(kept),
    provision: { "nats-password": `${kept.natsPassword("operator")}\n`, ...system },
    azure: { ...server, "azure.json": jsonText(azureOf(kept)) },
    servicebus: {
      ...server,
      "servicebus.json": jsonText(serviceBusEntities({ demo: true })),
      "entra.json": jsonText(serviceBusOf(identities)),
      "key.env": `SHARED_ACCESS_KEY=${kept.serviceBusKey}\n`,
    },
    "servicebus-emulator": { "Config.json": jsonText(emulator().config) },
    demo: {
      token: `${kept.token}\n`,
      authorization: authorizationHeader(kept.token),
      "webhook-secret": `${kept.webhookSecret}\n`,
      "models.json": jsonText(models),
      ...identity("demo"),
      ...trust,
    },
    cli: { "run.json": jsonText(runOf(kept, models)), "certificate.pem": tls.certificate, ...routes },
  } satisfies Record<string, Volume>;
}

/** One server alone, and the nodes of a cluster: which of them run is the compose file's business. */
function natsFiles({ natsPassword, routePassword }: Kept): Volume {
  const common = {
    host: "0.0.0.0",
    port: NATS.port,
    monitorPort: NATS.monitorPort,
    storeDir: `${DATA}/jetstream`,
    users: USERS,
    passwordOf: natsPassword,
  };
  const nodes = NATS_NODES.map((name, index) => {
    const routes = NATS_NODES.filter((_, other) => other !== index).map((other) => `${other}:${NATS.routePort}`);
    const cluster = { port: NATS.routePort, routes, password: routePassword };
    return [`${name}.conf`, natsConfig({ ...common, name, cluster })] as const;
  });
  return { "nats.conf": natsConfig({ ...common, name: NATS.name }), ...Object.fromEntries(nodes) };
}

/** The demonstration is told by webhook; the secret is in the local vault, in one of Azure's, or beside the rules. */
function rules({ webhookSecret }: Kept, vault: VaultChoice): Volume {
  const url = `http://${WEBHOOK.name}:${WEBHOOK.port}/`;
  const file = (secret: Parameters<typeof demoRule>[1]) => ({
    "rules.json": jsonText({ rules: [demoRule(url, secret)] }),
  });
  if (vault === "none")
    return { ...file({ file: `${CONFIG}/webhook-secret` }), "webhook-secret": `${webhookSecret}\n` };
  return file(secretInVault("url" in vault ? vault.url : vaultUrl(VAULT)));
}

const azureOf = ({ identities, webhookSecret }: Kept) =>
  azureConfig({
    identities,
    identity: IDENTITY,
    vault: VAULT,
    storeDir: DATA,
    keyFile: `${CONFIG}/key.pem`,
    certificateFile: `${CONFIG}/certificate.pem`,
    seeds: { [WEBHOOK_SECRET]: webhookSecret },
  });

/** The demonstration receives from its own subscription, as an enterprise would, and may do nothing else there. */
const serviceBusOf = (identities: Identities) =>
  serviceBusAccess(identities, {
    identity: IDENTITY,
    others: [
      {
        principalId: identities.principalIdOf("demo"),
        role: "Azure Service Bus Data Receiver",
        scope: `${TOPIC}/Subscriptions/${SUBSCRIPTIONS.demo}`,
      },
    ],
  });

/** The same file as of `npm start`, with the addresses between containers: the command line reads it as `.millrace/run.json`. */
function runOf({ token, natsPassword, serviceBusKey, identities }: Kept, models: readonly string[]): Run {
  const certificateFile = ".millrace/certificate.pem";
  const { endpoint } = identityAddresses(IDENTITY);
  return {
    http: API,
    nats: `nats://operator:${natsPassword("operator")}@${NATS.name}:${NATS.port}`,
    serviceBus: {
      connectionString: connectionStringOf(`${SERVICE_BUS.name}:${SERVICE_BUS.port}`, serviceBusKey),
      topic: TOPIC,
      subscription: SUBSCRIPTIONS.enterprise,
      certificateFile,
    },
    azure: {
      keyVault: vaultUrl(VAULT),
      identity: { endpoint, header: identities.headerOf("operator") },
      certificateFile,
    },
    token,
    tenant: TENANT,
    project: PROJECT,
    models,
    processes: {},
  };
}

/** Users that connect to NATS, each with a password of its own. */
export const NATS_USERS = [...Object.keys(USERS), SYSTEM_USER];
/** Whoever enters the local Azure. */
export const PRINCIPALS = [...SERVICE_NAMES, "demo", "operator"] as const;
