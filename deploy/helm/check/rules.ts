/** What Kubernetes would be given, as far as it is looked at. */
export type Manifest = {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; annotations?: Record<string, string> };
  spec?: unknown;
};

type Labels = Readonly<Record<string, string>>;
type Container = {
  name: string;
  image: string;
  securityContext?: Record<string, unknown> & { capabilities?: { drop?: string[]; add?: string[] } };
  resources?: Record<"requests" | "limits", Record<string, unknown> | undefined>;
  env?: { name: string; value?: string }[];
  volumeMounts?: { name: string; mountPath: string; readOnly?: boolean }[];
} & Record<string, unknown>;
type Pod = {
  metadata?: { labels?: Labels };
  spec: {
    serviceAccountName?: string;
    automountServiceAccountToken?: boolean;
    hostNetwork?: boolean;
    securityContext?: Record<string, unknown> & { seccompProfile?: { type?: string } };
    terminationGracePeriodSeconds?: number;
    containers: Container[];
    initContainers?: Container[];
    volumes?: ({ name: string } & Record<string, unknown>)[];
  };
};
type Workload = { name: string; kind: string; pod: Pod; manifest: Manifest };

const WORKLOADS = ["Deployment", "StatefulSet", "DaemonSet", "Job"];

/** What breaks our rules in what a chart renders: each mistake with its place. */
export function mistakesIn(manifests: readonly Manifest[]): string[] {
  const workloads = manifests
    .filter(({ kind }) => WORKLOADS.includes(kind))
    .map((manifest): Workload => {
      const { template } = manifest.spec as { template: Pod };
      return { name: manifest.metadata.name, kind: manifest.kind, pod: template, manifest };
    });
  const accounts = new Set(
    manifests.filter(({ kind }) => kind === "ServiceAccount").map(({ metadata }) => metadata.name),
  );
  return [
    ...workloads.flatMap((workload) => [...pods(workload, accounts), ...budgeted(workload, manifests)]),
    ...manifests.flatMap((manifest) => selecting(manifest, workloads)),
    ...manifests.flatMap((manifest) => scaling(manifest, workloads)),
    ...denied(manifests, workloads),
    ...manifests
      .filter(({ kind }) => kind === "Secret")
      .map(({ metadata }) => `Secret/${metadata.name}: a secret is rendered`),
  ];
}

function pods({ name, kind, pod }: Workload, accounts: ReadonlySet<string>): string[] {
  const { spec } = pod;
  const mistakes: string[] = [];
  const want = (holds: boolean, what: string, where = `${kind}/${name}`) => {
    if (!holds) mistakes.push(`${where}: ${what}`);
  };
  want(spec.securityContext?.runAsNonRoot === true && spec.securityContext.runAsUser === 10001, "may run as root");
  want(spec.securityContext?.seccompProfile?.type === "RuntimeDefault", "has no seccomp profile");
  want(spec.automountServiceAccountToken === false, "has a token of the API server");
  want(!spec.hostNetwork, "is in the node's network");
  want(accounts.has(spec.serviceAccountName ?? ""), `its service account ${spec.serviceAccountName} is not made`);
  for (const container of [...spec.containers, ...(spec.initContainers ?? [])])
    mistakes.push(...contained(container, `${kind}/${name}/${container.name}`));
  const named = new Set((spec.volumes ?? []).map((volume) => volume.name));
  for (const { volumeMounts = [] } of spec.containers)
    for (const mount of volumeMounts)
      want(named.has(mount.name) || kind === "StatefulSet", `mounts ${mount.name}, which is no volume`);
  if (kind === "Job") return mistakes;
  for (const container of spec.containers) {
    for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"])
      want(container[probe] !== undefined, `has no ${probe}`, `${kind}/${name}/${container.name}`);
    const grace_ms = Number(container.env?.find((one) => one.name === "GRACE_MS")?.value);
    want((spec.terminationGracePeriodSeconds ?? 30) * 1_000 > grace_ms, "is killed before GRACE_MS is over");
  }
  return mistakes;
}

function contained(
  { image, securityContext, resources, env = [], volumeMounts = [] }: Container,
  where: string,
): string[] {
  const mistakes: string[] = [];
  const want = (holds: boolean, what: string) => {
    if (!holds) mistakes.push(`${where}: ${what}`);
  };
  want(securityContext?.readOnlyRootFilesystem === true, "may write to its root file system");
  want(securityContext?.allowPrivilegeEscalation === false, "may gain privileges");
  want(securityContext?.capabilities?.drop?.includes("ALL") ?? false, "drops not all capabilities");
  want(!securityContext?.capabilities?.add && !securityContext?.privileged, "is given privileges");
  want(resources?.limits?.memory !== undefined, "has no limit of memory");
  want(resources?.requests?.cpu !== undefined && resources.requests.memory !== undefined, "requests nothing");
  want(/@sha256:[0-9a-f]{64}$|:[\w][\w.-]*$/.test(image) && !image.endsWith(":latest"), `${image} is no exact version`);
  for (const { name, value } of env)
    if (/(PASSWORD|SECRET|TOKEN|KEY|CONNECTION_STRING)$/.test(name) && value !== undefined)
      want(false, `${name} is a secret in the open`);
  for (const { name, value } of env)
    if (/^[\d.]+e\+\d+$/.test(value ?? "")) want(false, `${name} is ${value}, which a template made of an integer`);
  for (const { mountPath, readOnly } of volumeMounts)
    if (/^\/(secrets|config|models)/.test(mountPath)) want(readOnly === true, `may write to ${mountPath}`);
  return mistakes;
}

function budgeted({ name, kind, pod }: Workload, manifests: readonly Manifest[]): string[] {
  if (kind === "Job") return [];
  const budgets = manifests.filter(
    (one) => one.kind === "PodDisruptionBudget" && selects(selectorOf(one), pod.metadata?.labels),
  );
  return budgets.length === 1 ? [] : [`${kind}/${name}: has ${budgets.length} disruption budgets`];
}

/** Whatever selects pods selects some; those of NATS are another chart's. */
function selecting(manifest: Manifest, workloads: readonly Workload[]): string[] {
  if (!["PodDisruptionBudget", "NetworkPolicy", "Service", "PodMonitor"].includes(manifest.kind)) return [];
  const selector = selectorOf(manifest);
  if (selector["app.kubernetes.io/name"] === "nats") return [];
  if (workloads.some(({ pod }) => selects(selector, pod.metadata?.labels))) return [];
  return [`${manifest.kind}/${manifest.metadata.name}: selects no pod`];
}

function selectorOf({ kind, spec }: Manifest): Labels {
  const { selector, podSelector } = spec as Record<string, ({ matchLabels?: Labels } & Labels) | undefined>;
  if (kind === "Service") return (selector as Labels | undefined) ?? {};
  return (podSelector ?? selector)?.matchLabels ?? {};
}

const selects = (selector: Labels, labels: Labels = {}): boolean =>
  Object.entries(selector).length > 0 && Object.entries(selector).every(([key, value]) => labels[key] === value);

function scaling({ kind, metadata, spec }: Manifest, workloads: readonly Workload[]): string[] {
  if (kind !== "ScaledObject") return [];
  const { scaleTargetRef: target, minReplicaCount: min } = spec as {
    scaleTargetRef: { kind: string; name: string };
    minReplicaCount: number;
  };
  const where = `ScaledObject/${metadata.name}`;
  const workload = workloads.find((one) => one.kind === target.kind && one.name === target.name);
  if (!workload) return [`${where}: ${target.kind}/${target.name} is not made`];
  const mistakes: string[] = [];
  if (!(min >= 1)) mistakes.push(`${where}: goes down to nothing, and then nobody makes the lanes that are counted`);
  if ("replicas" in (workload.manifest.spec as object))
    mistakes.push(`${where}: each upgrade would undo what it scaled`);
  return mistakes;
}

/** Every pod is under a policy that denies in both directions. */
function denied(manifests: readonly Manifest[], workloads: readonly Workload[]): string[] {
  const both = manifests.filter(({ kind, spec }) => {
    const types = (spec as { policyTypes?: string[] } | undefined)?.policyTypes ?? [];
    return kind === "NetworkPolicy" && types.includes("Ingress") && types.includes("Egress");
  });
  return workloads
    .filter(({ pod }) => !both.some((policy) => selects(selectorOf(policy), pod.metadata?.labels)))
    .map(({ kind, name }) => `${kind}/${name}: no network policy denies what is not said`);
}
