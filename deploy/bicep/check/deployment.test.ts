import { readFile } from "node:fs/promises";
import path from "node:path";
import { AZURE_GRANTS, AZURE_ROLES, type BicepEntities, holdersOf, SERVICE_NAMES } from "@millrace/contracts";
import { expect, test } from "vitest";
import { readUnits } from "./check.ts";
import { propertiesOf } from "./syntax.ts";

const directory = path.resolve(import.meta.dirname, "..");
const units = await readUnits(directory);
const resources = [...units.values()].flatMap(({ declared }) => declared.resources);
const json = async (name: string) => JSON.parse(await readFile(path.join(directory, "generated", name), "utf8"));
const entities: BicepEntities = await json("servicebus.json");

/** The bodies of all resources of a type, as property names to text. */
const bodiesOf = (type: string) =>
  resources
    .filter((resource) => resource.type.startsWith(`${type}@`) && !resource.existing)
    .map(({ body }) => Object.fromEntries(propertiesOf(body).map(({ name, value }) => [name!, value.text])));

test("a role is given on one entity, secret, container, registry or subnet, never on what holds others", () => {
  const assignments = bodiesOf("Microsoft.Authorization/roleAssignments");
  expect(assignments.length).toBeGreaterThan(8);
  const scopes = new Set(assignments.map(({ scope }) => scope));
  expect(scopes).toEqual(new Set(["entity", "vault::secret", "account::blobs::results", "registry", "network::nodes"]));
});

test("every role comes from the table: no id of a role is written anywhere else, and none is for owning", async () => {
  const { roles } = await json("identities.json");
  expect(roles).toEqual(AZURE_ROLES);
  for (const { source } of units.values()) expect(source.root.text).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-/);
  for (const { properties } of bodiesOf("Microsoft.Authorization/roleAssignments"))
    expect(properties).toMatch(
      /roleDefinitionId: subscriptionResourceId\('Microsoft.Authorization\/roleDefinitions', \w*[rR]oleId\)/,
    );
  const main = units.get("main.bicep")!.source.root.text;
  for (const { role } of AZURE_GRANTS) expect(main).toMatch(new RegExp(`[rR]oleId: roles(\\['${role}'\\]|\\.${role})`));
});

test("an identity per service, and what may be named for one is what the table grants", async () => {
  const { services, largeResultsWriters, secretReaders } = await json("identities.json");
  expect(services).toEqual(SERVICE_NAMES);
  expect(largeResultsWriters).toEqual(holdersOf("Storage Blob Data Contributor", "large results"));
  const written = /service: (.*)/.exec(units.get("types.bicep")!.source.root.text)![1]!;
  expect(written.split(" | ")).toEqual(secretReaders.map((name: string) => `'${name}'`));
});

test("keys are off wherever there could be one", () => {
  const said = (type: string) =>
    bodiesOf(type)
      .map(({ properties }) => properties)
      .join();
  expect(said("Microsoft.ServiceBus/namespaces")).toMatch(/disableLocalAuth: true/);
  expect(said("Microsoft.Storage/storageAccounts")).toMatch(/allowSharedKeyAccess: false/);
  expect(said("Microsoft.ContainerRegistry/registries")).toMatch(/adminUserEnabled: false/);
  expect(said("Microsoft.ContainerService/managedClusters")).toMatch(/disableLocalAccounts: true/);
  expect(said("Microsoft.KeyVault/vaults")).toMatch(/enableRbacAuthorization: true.*enablePurgeProtection: true/s);
});

test("what is generated has every topic of the routes, each with duplicate detection, in the form that types.bicep declares", () => {
  expect(entities.topics.map(({ name }) => name)).toEqual(["predictions"]);
  for (const { duplicateDetectionWindow } of entities.topics) expect(duplicateDetectionWindow).toBe("P1D");
  for (const [type, objects] of [
    ["topic", entities.topics],
    ["queue", entities.queues],
    ["subscription", entities.topics.flatMap(({ subscriptions }) => subscriptions)],
  ] as const) {
    const declared = fieldsOf(type);
    for (const object of objects) {
      for (const name of Object.keys(object)) expect(declared.map((it) => it.name)).toContain(name);
      for (const { name, optional } of declared) if (!optional) expect(object).toHaveProperty(name);
    }
  }
});

function fieldsOf(type: string): { name: string; optional: boolean }[] {
  const { root } = units.get("types.bicep")!.source;
  const declaration = root.namedChildren.find(
    (node) => node.type === "type_declaration" && node.namedChildren[0]!.text === type,
  )!;
  const fields = propertiesOf(declaration.namedChildren[1]!);
  return fields.map(({ name, value }) => ({
    name: name!,
    optional: value.type === "nullable_type" || value.text.endsWith("?"),
  }));
}
