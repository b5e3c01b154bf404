/**
 * Writes the documents that follow from the contracts. They are committed; CI runs this and fails when anything
 * differs. Run it after changing packages/contracts or deploy/bicep/routes.yaml: `pnpm generate`.
 */
import { execFileSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { asyncapiDocument, bicepIdentities, errorsPage, openapiDocument, permissionsPage } from "@millrace/contracts";
import { natsUsers } from "../deploy/helm/generate.ts";
import { dashboards } from "../deploy/observability/dashboards/index.ts";
import { metricsPage } from "./metrics.ts";

const root = new URL("../", import.meta.url);
const json = (document: unknown) => `${JSON.stringify(document, null, 2)}\n`;

/** The entities of the deployment's routes, by the command that everybody has for their own. */
const bicepEntities = () =>
  execFileSync(
    process.execPath,
    ["packages/cli/src/main.ts", "azure", "plan", "--routes", "deploy/bicep/routes.yaml", "--format", "bicep"],
    { cwd: fileURLToPath(root), encoding: "utf8" },
  );

const documents = {
  "docs/api/openapi.json": json(openapiDocument()),
  "docs/api/asyncapi.json": json(asyncapiDocument()),
  "docs/api/errors.md": errorsPage(),
  "docs/api/permissions.md": permissionsPage(),
  "docs/api/metrics.md": metricsPage(),
  ...Object.fromEntries(
    dashboards().map((board) => [`deploy/observability/grafana/dashboards/${board.uid}.json`, json(board)]),
  ),
  "deploy/bicep/generated/servicebus.json": bicepEntities(),
  "deploy/bicep/generated/identities.json": json(bicepIdentities()),
  "deploy/helm/generated/nats-users.json": json(natsUsers()),
  // A chart reads files of its own folder only.
  "deploy/helm/millrace/generated/rules.yaml": await readFile(
    new URL("deploy/observability/rules/millrace.yaml", root),
    "utf8",
  ),
};

for (const [name, text] of Object.entries(documents)) {
  const file = new URL(name, root);
  await mkdir(new URL(".", file), { recursive: true });
  await writeFile(file, text);
}
