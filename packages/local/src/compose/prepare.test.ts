import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { prepare } from "./prepare.ts";
import { type VaultChoice, vaultChoice } from "./vault-choice.ts";

const VOLUMES = [
  ...["ingest", "inference", "notifier", "audit", "bridge", "keeper", "nats", "provision", "azure"],
  ...["servicebus", "servicebus-emulator", "demo", "cli", "models"],
];

/** Two directories as the container sees them: one of its own, and one with an empty directory for each volume. */
function world(vault: VaultChoice = { local: true }) {
  const root = mkdtempSync(path.join(tmpdir(), "millrace-prepare-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const [dataDir, volumesDir, model] = ["data", "volumes", "model"].map((name) => path.join(root, name)) as [
    string,
    string,
    string,
  ];
  for (const name of VOLUMES) mkdirSync(path.join(volumesDir, name), { recursive: true });
  mkdirSync(model);
  writeFileSync(path.join(model, "manifest.json"), JSON.stringify({ name: "pump" }));
  return {
    run: () => prepare({ dataDir, volumesDir, models: [model], vault }),
    file: (volume: string, name: string) => path.join(volumesDir, volume, name),
    read: (volume: string, name: string) => readFileSync(path.join(volumesDir, volume, name), "utf8"),
    secrets: () => Object.fromEntries(filesUnder(path.join(dataDir, "secrets"))),
    volume: (name: string) => filesUnder(path.join(volumesDir, name)),
  };
}

const filesUnder = (directory: string): [string, string][] =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file) => [path.relative(directory, file), readFileSync(file, "utf8").trim()]);

test("made twice, everything is the same: no secret changes, and no file is written again", async () => {
  const { run, volume, file } = world();
  expect(await run()).toEqual(["pump"]);
  const before = VOLUMES.map(volume);
  const written = statSync(file("nats", "nats.conf")).ino;
  await run();
  expect(VOLUMES.map(volume)).toEqual(before);
  expect(statSync(file("nats", "nats.conf")).ino).toBe(written);
});

test("what follows from the secrets is renewed, what no longer belongs there goes, and an interrupted write is no obstacle", async () => {
  const { run, read, file } = world();
  await run();
  const routes = read("bridge", "routes.json");
  writeFileSync(file("bridge", "routes.json"), "{}");
  writeFileSync(file("bridge", "old.json"), "{}");
  writeFileSync(file("bridge", "routes.json.new"), "half", { mode: 0o400 });
  await run();
  expect(read("bridge", "routes.json")).toBe(routes);
  expect(readdirSync(path.dirname(file("bridge", "routes.json"))).sort()).toEqual(
    ["identity.env", "nats-password", "routes.json", "trust.pem"].sort(),
  );
});

test("each process has its own secrets and nobody else's; those who check them have what they need to", async () => {
  const { run, volume, secrets } = world();
  await run();
  const mayHave: Record<string, string[]> = {
    ingest: ["nats-ingest"],
    inference: ["nats-inference"],
    notifier: ["nats-notifier", "identity-notifier"],
    audit: ["nats-audit"],
    bridge: ["nats-bridge", "identity-bridge"],
    keeper: ["nats-keeper", "nats-system"],
    nats: Object.keys(secrets()).filter((name) => name.startsWith("nats-")),
    provision: ["nats-operator", "nats-system"],
    azure: ["webhook"], // what the vault holds; of identities it knows digests
    servicebus: ["servicebus"],
    "servicebus-emulator": [],
    demo: ["token", "webhook", "identity-demo"],
    cli: ["token", "nats-operator", "servicebus", "identity-operator"],
    models: [],
  };
  const has = VOLUMES.map((name) => {
    const text = JSON.stringify(volume(name));
    return [name, Object.keys(secrets()).filter((secret) => text.includes(secrets()[secret]!))] as const;
  });
  expect(Object.fromEntries(has.map(([name, found]) => [name, found.sort()]))).toEqual(
    Object.fromEntries(Object.entries(mayHave).map(([name, allowed]) => [name, allowed.sort()])),
  );
  const withKey = VOLUMES.filter((name) => JSON.stringify(volume(name)).includes("PRIVATE KEY"));
  expect(withKey.sort()).toEqual(["azure", "servicebus"]);
});

test("only the emulator's configuration, which holds no secret, is readable by others", async () => {
  const { run, volume, file } = world();
  await run();
  for (const name of VOLUMES.filter((it) => it !== "models"))
    for (const [entry] of volume(name))
      expect([name, entry, statSync(file(name, entry)).mode & 0o777]).toEqual([
        name,
        entry,
        name === "servicebus-emulator" ? 0o644 : 0o600,
      ]);
});

test("NATS writes through, admits the contracts' users only, and tells its health to its own container only", async () => {
  const { run, read } = world();
  await run();
  const [alone, first] = ["nats.conf", "nats-1.conf"].map((name) => JSON.parse(read("nats", name)));
  expect(alone).toMatchObject({ host: "0.0.0.0", http: "127.0.0.1:8222", jetstream: { sync_interval: "always" } });
  expect(alone.cluster).toBeUndefined();
  expect(alone.accounts.MILLRACE.users.map(({ user }: { user: string }) => user).sort()).toEqual(
    ["audit", "bridge", "ingest", "inference", "keeper", "notifier", "operator"].sort(),
  );
  expect(first).toMatchObject({
    server_name: "nats-1",
    http: "127.0.0.1:8222",
    jetstream: { sync_interval: "always" },
  });
  expect(first.cluster.routes.map((route: string) => route.split("@")[1])).toEqual(["nats-2:6222", "nats-3:6222"]);
});

test("the webhook's secret is where the notifier finds it: the local vault, one of Azure's, or a file of its own", async () => {
  const secretOf = async (vault: VaultChoice) => {
    const { run, read, volume } = world(vault);
    await run();
    const { rules } = JSON.parse(read("notifier", "rules.json"));
    return { secret: rules[0].webhook.secret, files: volume("notifier").map(([name]) => name) };
  };
  const local = await secretOf({ local: true });
  expect(local.secret).toEqual({ keyVault: "https://azure:8443/secrets/demo-webhook" });
  expect(local.files).not.toContain("webhook-secret");
  const azure = await secretOf({ url: "https://acme.vault.azure.net" });
  expect(azure.secret).toEqual({ keyVault: "https://acme.vault.azure.net/secrets/demo-webhook" });
  const none = await secretOf("none");
  expect(none.secret).toEqual({ file: "/config/webhook-secret" });
  expect(none.files).toContain("webhook-secret");
});

test("the setting of the vault is read, and what it cannot be is refused with what it can", () => {
  expect(vaultChoice("local")).toEqual({ local: true });
  expect(vaultChoice("none")).toBe("none");
  expect(vaultChoice("https://acme.vault.azure.net/")).toEqual({ url: "https://acme.vault.azure.net" });
  for (const wrong of ["acme", "http://acme.vault.azure.net", "https://user@acme.vault.azure.net"])
    expect(() => vaultChoice(wrong), wrong).toThrow(/KEY_VAULT is .* https:\/\/NAME\.vault\.azure\.net/);
});
