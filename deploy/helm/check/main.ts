/**
 * pnpm deploy:helm: lints the chart, renders each example, and asks kubeconform about every object against the schemas of pinned
 * versions, and our own rules. Ends with 1 when anything is wrong, or a program is missing and cannot be built.
 */
import path from "node:path";
import { parseAllDocuments } from "yaml";
import { CHART, examples, HERE, KUBERNETES } from "./files.ts";
import { type Manifest, mistakesIn } from "./rules.ts";
import { kubernetesSchemas } from "./schemas.ts";
import { type Ended, run, tool } from "./tools.ts";

try {
  const mistakes = check();
  for (const mistake of mistakes) console.error(mistake);
  if (mistakes.length > 0) process.exitCode = 1;
} catch (cause) {
  console.error((cause as Error).message);
  process.exitCode = 1;
}

function check(): string[] {
  const [helm, kubeconform] = [tool("helm"), tool("kubeconform")];
  using schemas = kubernetesSchemas();
  console.log(`schemas of ${schemas.kinds} kinds, Kubernetes ${KUBERNETES}`);
  const mistakes: string[] = [];
  const judge = (what: string, { ok, said }: Ended) => {
    if (ok) console.log(`${what}: ${said.split("\n").at(-1)}`);
    else mistakes.push(`${what}: ${said}`);
    return ok;
  };
  for (const example of examples()) {
    const values = ["--kube-version", KUBERNETES, "--values", path.join(HERE, example)];
    judge(`helm lint --strict, ${example}`, run(helm, ["lint", "--strict", CHART, ...values]));
    const rendered = run(helm, ["template", "millrace", CHART, "--namespace", "millrace", ...values]);
    if (!rendered.ok) {
      mistakes.push(`helm template, ${example}: ${rendered.said}`);
      continue;
    }
    const flags = ["-strict", "-summary", "-schema-location", schemas.location];
    judge(`kubeconform -strict, ${example}`, run(kubeconform, flags, rendered.out));
    const manifests = parseAllDocuments(rendered.out).flatMap((document) => (document.toJS() as Manifest | null) ?? []);
    const broken = mistakesIn(manifests);
    if (broken.length === 0) console.log(`our rules, ${example}: ${manifests.length} objects keep them`);
    mistakes.push(...broken.map((mistake) => `${example}: ${mistake}`));
  }
  return mistakes;
}
