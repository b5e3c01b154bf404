import type { ModelDeployment, ModelList, ModelSummary } from "@millrace/contracts";
import type { Models } from "../domain/ports.ts";
import type { Handler } from "./call.ts";

/** `GET …/models`: what is deployed. */
export const onListModels =
  ({ models }: { models: Models }): Handler =>
  async (): Promise<ModelList> => ({
    models: [...models.all()].map(summary).sort((a, b) => (a.name < b.name ? -1 : 1)),
  });

const summary = ({ manifest, digest }: ModelDeployment): ModelSummary => ({
  name: manifest.name,
  version: manifest.version,
  description: manifest.description,
  digest,
  inputs: manifest.inputs,
  outputs: manifest.outputs,
});
