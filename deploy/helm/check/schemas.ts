import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parse } from "yaml";
import { KUBERNETES } from "./files.ts";
import { run } from "./run.ts";

/**
 * JSON schemas for kubeconform, made of what the projects publish in their Go modules: Kubernetes' OpenAPI document and the CRDs
 * of what else the chart makes. So the same versions judge everywhere, also where no raw files of GitHub can be had.
 */
const KUBERNETES_MODULE = `k8s.io/kubernetes@v${KUBERNETES}`;
const CRDS = {
  "github.com/kedacore/keda/v2@v2.17.2": "config/crd/bases",
  "sigs.k8s.io/secrets-store-csi-driver@v1.5.3": "config/crd/bases",
  "sigs.k8s.io/gateway-api@v1.3.0": "config/crd/standard",
  "github.com/prometheus-operator/prometheus-operator@v0.85.0": "example/prometheus-operator-crd",
};

type Schema = { [key: string]: unknown };
type Definition = Schema & { "x-kubernetes-group-version-kind"?: { group: string; version: string; kind: string }[] };
type Crd = {
  kind?: string;
  spec: { group: string; names: { kind: string }; versions: { name: string; schema: { openAPIV3Schema: Schema } }[] };
};

/** A directory of schemas that is there until it is disposed, and kubeconform's `-schema-location` for it. */
export function kubernetesSchemas(): Disposable & { location: string; kinds: number } {
  const directory = mkdtempSync(path.join(tmpdir(), "millrace-schemas-"));
  const dispose = () => rmSync(directory, { recursive: true, force: true });
  let kinds = 0;
  const put = (group: string, version: string, kind: string, schema: unknown) => {
    const folder = path.join(directory, group === "" ? version : group);
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, `${kind.toLowerCase()}_${version}.json`), JSON.stringify(schema));
    kinds++;
  };
  try {
    builtIn(directory, put);
    for (const [module, folder] of Object.entries(CRDS)) custom(path.join(download(module), folder), put);
  } catch (cause) {
    dispose();
    throw cause;
  }
  const location = `${directory}/{{ .Group }}/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json`;
  return { location, kinds, [Symbol.dispose]: dispose };
}

type Put = (group: string, version: string, kind: string, schema: unknown) => void;

function builtIn(directory: string, put: Put): void {
  const file = path.join(download(KUBERNETES_MODULE), "api/openapi-spec/swagger.json");
  const { definitions } = JSON.parse(readFileSync(file, "utf8")) as { definitions: Record<string, Definition> };
  const all = path.join(directory, "definitions.json");
  const strictly = Object.entries(definitions).map(([name, schema]) => [name, strict(schema, SPECIAL[name])]);
  writeFileSync(all, JSON.stringify({ definitions: Object.fromEntries(strictly) }));
  for (const [name, { "x-kubernetes-group-version-kind": kinds = [] }] of Object.entries(definitions))
    for (const { group, version, kind } of kinds) put(group, version, kind, { $ref: `${all}#/definitions/${name}` });
}

function custom(folder: string, put: Put): void {
  for (const name of readdirSync(folder).filter((file) => /\.ya?ml$/.test(file))) {
    const crd = parse(readFileSync(path.join(folder, name), "utf8")) as Crd | undefined;
    if (crd?.kind !== "CustomResourceDefinition") continue;
    const { group, names, versions } = crd.spec;
    // Azure's managed Prometheus takes the same objects under a group of its own.
    const groups = group === "monitoring.coreos.com" ? [group, `az${group}`] : [group];
    for (const { name: version, schema } of versions)
      for (const each of groups) put(each, version, names.kind, strict(schema.openAPIV3Schema));
  }
}

/** Definitions whose form is looser than what OpenAPI 2 says of it. */
const SPECIAL: Record<string, Schema> = {
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": { type: ["string", "integer"] },
  "io.k8s.apimachinery.pkg.api.resource.Quantity": { type: ["string", "number"] },
};

/** An object takes what is declared and nothing else; except metadata of a CRD, which its schema leaves to Kubernetes. */
function strict(schema: unknown, special?: Schema): unknown {
  if (special) return special;
  if (Array.isArray(schema)) return schema.map((item) => strict(item));
  if (typeof schema !== "object" || schema === null) return schema;
  const entries = Object.entries(schema).map(([key, value]) => [
    key,
    key === "properties"
      ? Object.fromEntries(Object.entries(value as Schema).map(([name, it]) => [name, strict(it)]))
      : strict(value),
  ]);
  const it = Object.fromEntries(entries) as Schema;
  if (it["x-kubernetes-int-or-string"]) delete it.type;
  const open = it.additionalProperties !== undefined || it["x-kubernetes-preserve-unknown-fields"];
  return it.properties && !open ? { ...it, additionalProperties: false } : it;
}

/** Where a module lies. @throws when Go is missing or the module cannot be had */
function download(module: string): string {
  const { ok, out, said } = run("go", ["mod", "download", "-json", module]);
  if (!ok) throw new Error(`${module} could not be had, whose schemas are needed: ${said}. Put Go on PATH.`);
  return (JSON.parse(out) as { Dir: string }).Dir;
}
