import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkDirectory, type KeptTypes, readKeptTypes } from "./check.ts";

const directory = path.resolve(import.meta.dirname, "..");
let kept: KeptTypes;
let copy: string;

beforeAll(async () => {
  kept = await readKeptTypes();
  copy = await mkdtemp(path.join(tmpdir(), "millrace-bicep-"));
  for (const part of ["main.bicep", "main.bicepparam", "types.bicep", "modules"])
    await cp(path.join(directory, part), path.join(copy, part), { recursive: true });
});
afterAll(() => rm(copy, { recursive: true }));

/** What is found when one place of one file is another. */
async function mistakesWith(file: string, from: string, to: string): Promise<string[]> {
  const name = path.join(copy, file);
  const before = await readFile(name, "utf8");
  expect(before, `${file} has no ${from}`).toContain(from);
  try {
    await writeFile(name, before.replace(from, to));
    const { mistakes } = await checkDirectory(copy, kept);
    return mistakes.map((mistake) => `${mistake.file}: ${mistake.text}`);
  } finally {
    await writeFile(name, before);
  }
}

test("what is committed has no mistake", async () => {
  const { mistakes, files, resources } = await checkDirectory(directory, kept);
  expect(mistakes).toEqual([]);
  expect(files).toBeGreaterThan(15);
  expect(resources).toBeGreaterThan(50);
});

test.each([
  ["grammar", "modules/logs.bicep", "sku: {", "sku {", "this is no Bicep"],
  [
    "a property that Azure does not know",
    "modules/cluster.bicep",
    "networkPluginMode:",
    "pluginMode:",
    "is no property",
  ],
  [
    "a property of another kind",
    "modules/cluster.bicep",
    "enableAutoScaling: true",
    "enableAutoScaling: 3",
    "bool is wanted, not int",
  ],
  [
    "a value outside a closed list",
    "modules/key-vault.bicep",
    "name: 'standard'",
    "name: 'cheap'",
    "'cheap' is none of",
  ],
  [
    "a property that is required",
    "modules/key-vault.bicep",
    "tenantId: tenant().tenantId",
    "",
    "properties.tenantId is missing",
  ],
  [
    "a property that can only be read",
    "modules/service-bus.bicep",
    "minimumTlsVersion: '1.2'",
    "metricId: '1'",
    "can only be read",
  ],
  [
    "a property deep in a list",
    "modules/large-results.bicep",
    "daysAfterCreationGreaterThan:",
    "daysAfter:",
    "baseBlob.delete.daysAfter is no property",
  ],
  [
    "a branch of a condition",
    "modules/subscription.bicep",
    "sqlExpression:",
    "expression:",
    "sqlFilter.expression is no property",
  ],
  [
    "a version that does not exist",
    "modules/topic.bicep",
    "namespaces/topics@2024-01-01",
    "namespaces/topics@2024-02-30",
    "is not kept",
  ],
  [
    "an object that no file set before",
    "modules/service-bus.bicep",
    "disableLocalAuth: true",
    "encryption: {}",
    "encryption is not kept",
  ],
  [
    "a name that nobody declares",
    "modules/topic.bicep",
    "principals[service]",
    "principal[service]",
    "principal is declared nowhere",
  ],
  [
    "a parameter that nobody uses",
    "modules/logs.bicep",
    "param tags object",
    "param tags object\nparam more string",
    "more is used nowhere",
  ],
  [
    "an import that nobody uses",
    "modules/topic.bicep",
    "param readers reader[]",
    "param readers array",
    "reader is used nowhere",
  ],
  [
    "an output that a module does not have",
    "main.bicep",
    "network.outputs.name",
    "network.outputs.nam",
    "has no output nam",
  ],
  ["a module that misses a parameter", "main.bicep", "    zone: zoneOf.bus\n", "", "parameter zone is missing"],
  [
    "a module that is given too much",
    "main.bicep",
    "    zone: zoneOf.bus\n",
    "    zone: zoneOf.bus\n    more: 1\n",
    "more is no parameter",
  ],
  [
    "a module that is not there",
    "main.bicep",
    "modules/alerts.bicep",
    "modules/alarms.bicep",
    "there is no modules/alarms.bicep",
  ],
  [
    "a parameter file for another template",
    "main.bicepparam",
    "param nodesMax",
    "param nodeMax",
    "nodeMax is no parameter",
  ],
])("%s is found", async (_, file, from, to, said) => {
  const mistakes = await mistakesWith(file, from, to);
  expect(mistakes.join("\n")).toContain(said);
  expect(mistakes.join("\n")).toContain(file);
});
