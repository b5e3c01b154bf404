import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { type Manifest, mistakesIn } from "./rules.ts";

const read = (text: string): Manifest[] => parseAllDocuments(text).map((document) => document.toJS() as Manifest);

const GOOD = `
apiVersion: v1
kind: ServiceAccount
metadata: { name: thing }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: thing }
spec:
  template:
    metadata: { labels: { app: thing } }
    spec:
      serviceAccountName: thing
      automountServiceAccountToken: false
      securityContext: { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: RuntimeDefault } }
      terminationGracePeriodSeconds: 30
      containers:
        - name: thing
          image: contoso/thing:1.0.0
          securityContext: { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: [ALL] } }
          resources: { requests: { cpu: 1, memory: 1Gi }, limits: { memory: 1Gi } }
          env: [{ name: GRACE_MS, value: "20000" }]
          startupProbe: {}
          readinessProbe: {}
          livenessProbe: {}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: thing }
spec: { maxUnavailable: 1, selector: { matchLabels: { app: thing } } }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: thing }
spec: { podSelector: { matchLabels: { app: thing } }, policyTypes: [Ingress, Egress] }
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: { name: thing }
spec: { scaleTargetRef: { kind: Deployment, name: thing }, minReplicaCount: 2 }
`;

test("what keeps every rule is without mistakes", () => {
  expect(mistakesIn(read(GOOD))).toEqual([]);
});

test.each([
  ["runAsUser: 10001", "runAsUser: 0", "Deployment/thing: may run as root"],
  ["seccompProfile: { type: RuntimeDefault }", "a: 1", "Deployment/thing: has no seccomp profile"],
  ["automountServiceAccountToken: false", "a: 1", "Deployment/thing: has a token of the API server"],
  ["serviceAccountName: thing", "serviceAccountName: other", "Deployment/thing: its service account other is not made"],
  [
    "terminationGracePeriodSeconds: 30",
    "terminationGracePeriodSeconds: 20",
    "Deployment/thing: is killed before GRACE_MS is over",
  ],
  ["thing:1.0.0", "thing:latest", "Deployment/thing/thing: contoso/thing:latest is no exact version"],
  ["thing:1.0.0", "thing", "Deployment/thing/thing: contoso/thing is no exact version"],
  ["readOnlyRootFilesystem: true", "a: 1", "Deployment/thing/thing: may write to its root file system"],
  ["limits: { memory: 1Gi }", "limits: {}", "Deployment/thing/thing: has no limit of memory"],
  ["livenessProbe: {}", "a: 1", "Deployment/thing/thing: has no livenessProbe"],
  [
    "name: GRACE_MS, value",
    "name: NATS_PASSWORD, value: x }, { name: GRACE_MS, value",
    "Deployment/thing/thing: NATS_PASSWORD is a secret in the open",
  ],
  [
    'value: "20000"',
    'value: "2e+04"',
    "Deployment/thing/thing: GRACE_MS is 2e+04, which a template made of an integer",
  ],
  [
    "selector: { matchLabels: { app: thing } }",
    "selector: { matchLabels: { app: other } }",
    "PodDisruptionBudget/thing: selects no pod",
  ],
  [
    "podSelector: { matchLabels: { app: thing } }",
    "podSelector: { matchLabels: { app: other } }",
    "Deployment/thing: no network policy denies what is not said",
  ],
  [
    "kind: Deployment, name: thing",
    "kind: Deployment, name: other",
    "ScaledObject/thing: Deployment/other is not made",
  ],
  [
    "minReplicaCount: 2",
    "minReplicaCount: 0",
    "ScaledObject/thing: goes down to nothing, and then nobody makes the lanes that are counted",
  ],
  [
    "spec:\n  template:",
    "spec:\n  replicas: 2\n  template:",
    "ScaledObject/thing: each upgrade would undo what it scaled",
  ],
])("%j as %j is a mistake", (from, to, mistake) => {
  expect(GOOD).toContain(from);
  expect(mistakesIn(read(GOOD.replace(from, to)))).toContain(mistake);
});
