/**
 * pnpm deploy:helm: lints the chart, renders each example, and asks kubeconform about every object against the schemas of pinned
 * versions, our own rules, and promtool what the query of the backlog yields. Ends with 1 when anything is wrong, or a program is missing and cannot be built.
 */
import path from "node:path";
import { goTool } from "@millrace/deploy-tools";
import { parseAllDocuments } from "yaml";
import { queryMistakes } from "./backlog-query.ts";
import { CHART, examples, HERE, KUBERNETES } from "./files.ts";
import { type Manifest, mistakesIn } from "./rules.ts";
import { type Ended, run } from "./run.ts";
import { kubernetesSchemas } from "./schemas.ts";

/** Laid over an example, and what Helm has to say then. */
const REFUSED = [
  ["inference.models.image=", "name an image with /models, or a claim"],
  ["inference.models.claim=models", "image and claim are both given"],
  ["bridge.ordered=true", "two processes would send one session out of order"],
  ["ingest.terminationGracePeriodSeconds=20", "is too short"],
  ["inference.scaling.max=1", "min 3 is more than max 1"],
  ["scaling.prometheus.server=", "say where Prometheus answers"],
  ["notifier.rules.secret=rules", "configMap and secret are both given"],
  ["azure.keyVault=", "azure.keyVault: is empty"],
  ["nats.passwords.from=keyVault", "azure.clientIds.provision: is missing"],
  ["ingest.replica=3", "additional properties 'replica' not allowed"],
] as const;

/** What the examples do not show, and is rendered and judged all the same. */
const VARIANTS = [
  ...examples().map((example) => ({ example, set: "" })),
  {
    example: "examples/aks.yaml",
    set: "nats.passwords.from=keyVault,azure.clientIds.provision=00000000-0000-0000-0000-000000000007,keeper.env.CHECK_EVERY_MS=86400000",
  },
];

try {
  const mistakes = check();
  for (const mistake of mistakes) console.error(mistake);
  if (mistakes.length > 0) process.exitCode = 1;
} catch (cause) {
  console.error((cause as Error).message);
  process.exitCode = 1;
}

function check(): string[] {
  const [helm, kubeconform, promtool] = [goTool("helm"), goTool("kubeconform"), goTool("promtool")];
  using schemas = kubernetesSchemas();
  console.log(`schemas of ${schemas.kinds} kinds, Kubernetes ${KUBERNETES}`);
  const mistakes: string[] = [];
  const judge = (what: string, { ok, said }: Ended) => {
    if (ok) console.log(`${what}: ${said.split("\n").at(-1)}`);
    else mistakes.push(`${what}: ${said}`);
    return ok;
  };
  const looseness = judgesNot(kubeconform, schemas.location);
  if (looseness) mistakes.push(looseness);
  for (const [given, reason] of REFUSED) {
    const values = ["--kube-version", KUBERNETES, "--values", path.join(HERE, "examples/aks.yaml"), "--set", given];
    const { ok, said } = run(helm, ["template", "millrace", CHART, ...values]);
    if (ok || !said.includes(reason))
      mistakes.push(`--set ${given} is not refused with "${reason}": ${said.slice(0, 500)}`);
  }
  console.log(`${REFUSED.length} wrong values are refused`);
  let queries = 0;
  for (const { example, set } of VARIANTS) {
    const shown = set === "" ? example : `${example} with ${set.split(",")[0]}`;
    const values = ["--kube-version", KUBERNETES, "--values", path.join(HERE, example), "--set", set];
    judge(`helm lint --strict, ${shown}`, run(helm, ["lint", "--strict", CHART, ...values]));
    const rendered = run(helm, ["template", "millrace", CHART, "--namespace", "millrace", ...values]);
    if (!rendered.ok) {
      mistakes.push(`helm template, ${shown}: ${rendered.said}`);
      continue;
    }
    const flags = ["-strict", "-summary", "-schema-location", schemas.location];
    judge(`kubeconform -strict, ${shown}`, run(kubeconform, flags, rendered.out));
    const manifests = parseAllDocuments(rendered.out).flatMap((document) => (document.toJS() as Manifest | null) ?? []);
    const asked = queryMistakes(promtool, manifests);
    if (asked) queries++;
    const broken = [...mistakesIn(manifests), ...(asked ?? [])];
    if (broken.length === 0) console.log(`our rules, ${shown}: ${manifests.length} objects keep them`);
    mistakes.push(...broken.map((mistake) => `${shown}: ${mistake}`));
  }
  if (queries === 0) mistakes.push("no example has workers scaled by backlog, so the query was not tried");
  else console.log(`promtool computed the query of the backlog in ${queries} renderings`);
  return mistakes;
}

/** A schema that takes everything would look like a chart without mistakes. */
function judgesNot(kubeconform: string, location: string): string | undefined {
  const wrong = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "x" }, spec: { replica: 1 } };
  const { ok, said } = run(kubeconform, ["-strict", "-schema-location", location], JSON.stringify(wrong));
  return ok || !said.includes("replica") ? `kubeconform takes a key that there is not: ${said}` : undefined;
}
