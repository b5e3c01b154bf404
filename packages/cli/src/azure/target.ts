import { readFile } from "node:fs/promises";
import path from "node:path";
import type { Administration, SecretSource, ServiceBusAddress } from "@millrace/azure";
import { readRun } from "../connection.ts";
import { usage } from "../failure.ts";
import type { World } from "../world.ts";

/** Options of every `azure` command. */
export type TargetOptions = { namespace?: string; connectionStringFile?: string; data?: string };

/** A namespace: how it is entered, how it is called, and who said so. */
export type Target = { address: ServiceBusAddress; name: string; from: string; ca?: string };

const HOW =
  "Give --namespace NAME or --connection-string-file FILE, set what the bridge's settings are (SERVICEBUS_NAMESPACE, SERVICEBUS_CONNECTION_STRING or SERVICEBUS_CONNECTION_STRING_FILE), or name a running Millrace by --data DIR.";

/**
 * The namespace that flags name, else the bridge's own settings, else the local Service Bus of a Millrace that runs
 * here. Two that are named at once are a mistake: the wrong one might be changed.
 * @throws Failure saying what is missing or wrong, never what a connection string holds
 */
export async function targetOf(options: TargetOptions, { env, cwd }: World): Promise<Target> {
  const { namespace, connectionStringFile: file, data } = options;
  const flags = [namespace && "--namespace", file && "--connection-string-file", data && "--data"].filter(Boolean);
  if (flags.length > 1) throw usage(`${flags.join(" and ")} name more than one namespace.`, "Give one of them.");
  if (namespace !== undefined) return await byName(namespace, "--namespace");
  if (file !== undefined) return byKey(await kept({ file: path.resolve(cwd, file) }), file);
  const setting = data === undefined ? settingOf(env) : undefined;
  if (setting?.name === "SERVICEBUS_NAMESPACE") return await byName(setting.value, setting.name);
  if (setting?.name === "SERVICEBUS_CONNECTION_STRING_FILE")
    return byKey(await kept({ file: path.resolve(cwd, setting.value) }), setting.name);
  if (setting !== undefined) return byKey(await keptBy(setting), setting.name);
  const directory = data ?? ".millrace";
  const { serviceBus } = (await readRun(path.resolve(cwd, directory), data !== undefined)) ?? {};
  if (serviceBus === undefined) throw usage("No Service Bus namespace is named, and no Millrace runs here.", HOW);
  const target = byKey(serviceBus.connectionString, path.join(directory, "run.json"));
  const { certificateFile } = serviceBus;
  return certificateFile === undefined ? target : { ...target, ca: await readCertificate(certificateFile) };
}

/** Its administration API. Azure's SDK is loaded here and not before: it costs what other commands do not need. */
export async function administrationOf({ address, ca }: Target): Promise<Administration> {
  const { openAdministration } = await import("@millrace/azure");
  return openAdministration(address, ca === undefined ? {} : { ca });
}

const SETTINGS = ["SERVICEBUS_NAMESPACE", "SERVICEBUS_CONNECTION_STRING", "SERVICEBUS_CONNECTION_STRING_FILE"] as const;
type Setting = { name: (typeof SETTINGS)[number]; value: string };

/** The one of the bridge's settings that is set. @throws Failure when more are */
function settingOf(env: World["env"]): Setting | undefined {
  const given = SETTINGS.flatMap((name) => (env[name] ? { name, value: env[name] } : []));
  if (given.length > 1)
    throw usage(`${given.map(({ name }) => name).join(" and ")} are set.`, "Set one of them, or give a flag.");
  return given[0];
}

/** What a setting holds, or what is kept where it says (`file:PATH`, a Key Vault reference). */
async function keptBy({ name, value }: Setting): Promise<string> {
  const { secretSource } = await import("@millrace/azure/secrets");
  let source: SecretSource;
  try {
    source = secretSource(value, name);
  } catch (cause) {
    throw usage((cause as Error).message);
  }
  return await kept(source);
}

async function kept(source: SecretSource): Promise<string> {
  const { openSecret, SecretError } = await import("@millrace/azure/secrets");
  using secret = openSecret(source);
  try {
    const [current] = await secret.values();
    return current;
  } catch (cause) {
    if (cause instanceof SecretError) throw usage(cause.message);
    throw cause;
  }
}

async function byName(given: string, from: string): Promise<Target> {
  if (!/^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:\d+)?$/.test(given))
    throw usage(`"${given}" is not the name of a namespace.`, "Write it as NAME, or NAME.servicebus.windows.net.");
  const { namespaceName } = await import("@millrace/azure");
  let name: string;
  try {
    name = namespaceName(given); // in the cloud that the environment names
  } catch (cause) {
    throw usage((cause as Error).message);
  }
  return { address: { fullyQualifiedNamespace: name }, name, from };
}

function byKey(connectionString: string, from: string): Target {
  const parts = new Map(
    connectionString
      .trim()
      .split(";")
      .map((part): [string, string] => [
        part.slice(0, part.indexOf("=")).toLowerCase(),
        part.slice(part.indexOf("=") + 1),
      ]),
  );
  const [, name] = /^sb:\/\/([^/]+)\/?$/i.exec(parts.get("endpoint") ?? "") ?? [];
  if (name === undefined || !parts.get("sharedaccesskeyname") || !parts.get("sharedaccesskey"))
    throw usage(
      `What ${from} holds is not a connection string with a key.`,
      "It has the form Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…, of a policy that may manage.",
    );
  return { address: { connectionString: connectionString.trim() }, name, from };
}

async function readCertificate(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw usage(`The certificate of the local Service Bus cannot be read: ${(cause as Error).message}`);
  }
}
