import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { AZURE_GRANTS } from "@millrace/contracts/azure-roles";
import { SERVICE_NAMES } from "@millrace/contracts/permissions";
import { expect, test } from "vitest";
import { type AzurePlace, azurePlace } from "./azure-place.ts";
import { openDataDir } from "./data-dir.ts";
import { localCertificate } from "./local-certificate.ts";
import { serviceBusPlace } from "./service-bus.ts";
import { TOPIC } from "./service-bus-entities.ts";

type Assignment = { principalId: string; role: string };

/** Each service with its roles, without those of whoever uses Millrace. */
const ofServices = (assignments: Assignment[], { principalIdOf }: AzurePlace) =>
  assignments.flatMap(({ principalId, role }) =>
    SERVICE_NAMES.filter((name) => principalIdOf(name) === principalId).map((name) => `${name}: ${role}`),
  );

test("services have the roles here that they are granted in Azure, and the topic is the one that Bicep makes", async () => {
  const directory = mkdtempSync(path.join(tmpdir(), "millrace-place-"));
  try {
    await using dataDir = await openDataDir(directory);
    const azure = await azurePlace(dataDir, await localCertificate(dataDir.file("tls")), {});
    const serviceBus = await serviceBusPlace(dataDir, azure, { port: 5672, demo: true });
    const read = (file: string) => JSON.parse(readFileSync(file, "utf8"));
    const given = ofServices(
      [...read(serviceBus.entraFile).roleAssignments, ...read(azure.configFile).vault.roleAssignments],
      azure,
    );
    // No storage account runs beside `npm start`.
    const granted = AZURE_GRANTS.filter(({ on }) => on !== "large results");
    expect(given.sort()).toEqual(granted.map(({ service, role }) => `${service}: ${role}`).sort());

    const [{ Topics }] = read(serviceBus.configFile).UserConfig.Namespaces;
    const deployed = read(new URL("../../../deploy/bicep/generated/servicebus.json", import.meta.url).pathname);
    expect(deployed.topics).toMatchObject([{ name: TOPIC, senders: ["bridge"] }]);
    expect(Topics).toMatchObject([
      { Name: TOPIC, Properties: { DuplicateDetectionHistoryTimeWindow: deployed.topics[0].duplicateDetectionWindow } },
    ]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
