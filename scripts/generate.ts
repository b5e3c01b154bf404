/**
 * Writes the documents that follow from the contracts. They are committed; CI runs this and fails when anything
 * differs. Run it after changing packages/contracts: `pnpm generate`.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { asyncapiDocument, errorsPage, openapiDocument, permissionsPage } from "@millrace/contracts";

const directory = new URL("../docs/api/", import.meta.url);
const json = (document: unknown) => `${JSON.stringify(document, null, 2)}\n`;

const documents = {
  "openapi.json": json(openapiDocument()),
  "asyncapi.json": json(asyncapiDocument()),
  "errors.md": errorsPage(),
  "permissions.md": permissionsPage(),
};

await mkdir(directory, { recursive: true });
for (const [name, text] of Object.entries(documents)) await writeFile(new URL(name, directory), text);
