{{/*
A pod: never root, nothing to write but /tmp and its own volume, no token of the API server, and its own password only.
Takes root, service (whose values), app (whose image), and for a job args and job.
*/}}
{{- define "millrace.pod" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $of := include "millrace.of" . | fromJson -}}
{{- $pause := eq .service "ingest" | ternary 5 0 -}}
{{- $least := add (div (add $of.graceMs 999) 1000) $pause 1 -}}
{{- $grace := $of.terminationGracePeriodSeconds | default (add $least 9) -}}
{{- if lt (int64 $grace) (int64 $least) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds: %d is too short: graceMs and the pause before it take %d, and what is killed is done again" .service (int64 $grace) (int64 (sub $least 1))) -}}
{{- end -}}
metadata:
  labels:
    {{- include "millrace.labels" . | nindent 4 }}
    {{- if index $values.azure.clientIds .service }}
    azure.workload.identity/use: "true"
    {{- end }}
    {{- with $of.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $of.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ $values.name }}-{{ .service }}
  automountServiceAccountToken: false
  # A Service called nats would be NATS_PORT in every environment.
  enableServiceLinks: false
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: { type: RuntimeDefault }
  terminationGracePeriodSeconds: {{ $grace }}
  {{- if .job }}
  restartPolicy: Never
  {{- end }}
  {{- with $of.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $of.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $of.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $of.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and $of.topologySpread (not .job) (ne .service "audit") }}
  topologySpreadConstraints:
    {{- range $of.topologySpread }}
    - topologyKey: {{ .topologyKey }}
      maxSkew: {{ .maxSkew | default 1 }}
      whenUnsatisfiable: {{ .whenUnsatisfiable | default "ScheduleAnyway" }}
      labelSelector:
        matchLabels:
          {{- include "millrace.selector" $ | nindent 10 }}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  {{- if and (eq .service "inference") $of.models.image }}
  initContainers:
    - name: models
      image: {{ $of.models.image }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      command: [node, -e, "require('node:fs').cpSync('/models', '/copy', { recursive: true })"]
      securityContext:
        {{- include "millrace.contained" . | nindent 8 }}
      resources:
        {{- toYaml $of.resources | nindent 8 }}
      volumeMounts:
        - { name: models, mountPath: /copy }
  {{- end }}
  containers:
    - name: {{ .service }}
      image: {{ include "millrace.image" . }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      {{- with .args }}
      args:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "millrace.contained" . | nindent 8 }}
      resources:
        {{- toYaml $of.resources | nindent 8 }}
      env:
        {{- $env := include "millrace.env" (merge (dict "of" $of) .) | fromJson }}
        {{- range $name := keys $env | sortAlpha }}
        {{- /* A number has become a float on its way, and a large one would be 8.64e+07. */}}
        {{- $value := index $env $name }}
        - name: {{ $name }}
          value: {{ kindIs "float64" $value | ternary (printf "%.0f" (float64 $value)) (toString $value) | quote }}
        {{- end }}
      {{- if not .job }}
      ports:
        {{- if eq .service "ingest" }}
        - { name: http, containerPort: 8080 }
        {{- end }}
        - { name: health, containerPort: 8081 }
      # The listener is there before the rest: what starts slowly is not ready, and is not killed.
      startupProbe:
        httpGet: { path: /healthz, port: health }
        periodSeconds: 2
        failureThreshold: 60
      readinessProbe:
        httpGet: { path: /readyz, port: health }
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      # The event loop only: a broker that is away is no reason to start anew.
      livenessProbe:
        httpGet: { path: /healthz, port: health }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      {{- if $pause }}
      lifecycle:
        # Until load balancers have noticed.
        preStop: { sleep: { seconds: {{ $pause }} } }
      {{- end }}
      {{- end }}
      volumeMounts:
        - { name: tmp, mountPath: /tmp }
        - { name: nats, mountPath: /secrets/nats, readOnly: true }
        {{- if eq .service "ingest" }}
        - { name: tokens, mountPath: /config/tokens, readOnly: true }
        {{- end }}
        {{- if eq .service "inference" }}
        - { name: models, mountPath: /models, readOnly: true }
        {{- end }}
        {{- if eq .service "audit" }}
        - { name: ledger, mountPath: /data }
        {{- end }}
        {{- $given := $of.rules | default $of.routes | default dict }}
        {{- if or $given.configMap $given.secret }}
        - { name: given, mountPath: /config/given, readOnly: true }
        {{- end }}
        {{- range $of.secretFiles }}
        - { name: secret-{{ .name }}, mountPath: /secrets/{{ .name }}, readOnly: true }
        {{- end }}
        {{- if $of.vaultFiles }}
        - { name: vault, mountPath: /secrets/vault, readOnly: true }
        {{- end }}
        {{- with $of.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: { sizeLimit: 64Mi }
    - name: nats
      {{- if eq $values.nats.passwords.from "keyVault" }}
      csi:
        driver: secrets-store.csi.k8s.io
        readOnly: true
        volumeAttributes: { secretProviderClass: {{ $values.name }}-{{ .service }}-nats }
      {{- else }}
      secret:
        secretName: {{ $values.nats.passwords.secret }}
        defaultMode: 0440
        items:
          {{- range $user := include "millrace.natsUsers" .service | fromJsonArray }}
          - { key: {{ $user }}, path: {{ $user }} }
          {{- end }}
      {{- end }}
    {{- if eq .service "ingest" }}
    - name: tokens
      secret: { secretName: {{ $of.tokens.secret }}, defaultMode: 0440 }
    {{- end }}
    {{- if eq .service "inference" }}
    - name: models
      {{- if and $of.models.image $of.models.claim }}
      {{- fail "inference.models: image and claim are both given; name the one that has the models" }}
      {{- else if $of.models.image }}
      emptyDir: { sizeLimit: {{ $of.models.size }} }
      {{- else if $of.models.claim }}
      persistentVolumeClaim: { claimName: {{ $of.models.claim }}, readOnly: true }
      {{- else }}
      {{- fail "inference.models: name an image with /models, or a claim; without models there is nothing to run" }}
      {{- end }}
    {{- end }}
    {{- if and $given.configMap $given.secret }}
    {{- fail (printf "%s: configMap and secret are both given; name the one that has the file" .service) }}
    {{- else if $given.configMap }}
    - name: given
      configMap: { name: {{ $given.configMap }} }
    {{- else if $given.secret }}
    - name: given
      secret: { secretName: {{ $given.secret }}, defaultMode: 0440 }
    {{- end }}
    {{- range $of.secretFiles }}
    - name: secret-{{ .name }}
      secret: { secretName: {{ .secret }}, defaultMode: 0440 }
    {{- end }}
    {{- if $of.vaultFiles }}
    - name: vault
      csi:
        driver: secrets-store.csi.k8s.io
        readOnly: true
        volumeAttributes: { secretProviderClass: {{ $values.name }}-{{ .service }} }
    {{- end }}
    {{- with $of.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "millrace.contained" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/* Whose passwords a process has. */}}
{{- define "millrace.natsUsers" -}}
{{- if eq . "provision" -}}["operator","system"]
{{- else if eq . "keeper" -}}["keeper","system"]
{{- else -}}["{{ . }}"]
{{- end -}}
{{- end -}}

{{/* What the chart says, what all services say, what the service says: the later wins. */}}
{{- define "millrace.env" -}}
{{- $values := .root.Values -}}
{{- $of := .of -}}
{{- $own := .service | eq "provision" | ternary "operator" .service -}}
{{- $env := dict
  "NATS_URL" $values.nats.url
  "NATS_PASSWORD_FILE" (printf "/secrets/nats/%s" $own)
-}}
{{- if .job -}}
{{- $_ := set $env "REPLICAS" $values.nats.replicas -}}
{{- else -}}
{{- $env = merge $env (dict
  "DURABILITY" $values.nats.durability
  "HEALTH_HOST" "0.0.0.0"
  "HEALTH_PORT" 8081
  "LOG_LEVEL" $of.logLevel
  "GRACE_MS" (int64 $of.graceMs)
) -}}
{{- end -}}
{{- if has .service (list "keeper" "provision") -}}
{{- $_ := set $env "NATS_SYSTEM_PASSWORD_FILE" "/secrets/nats/system" -}}
{{- end -}}
{{- if eq .service "ingest" -}}
{{- $env = merge $env (dict "HTTP_HOST" "0.0.0.0" "HTTP_PORT" 8080 "TOKENS_FILE" (printf "/config/tokens/%s" $of.tokens.key)) -}}
{{- end -}}
{{- if eq .service "inference" -}}{{- $_ := set $env "MODELS_DIR" "/models" -}}{{- end -}}
{{- if eq .service "audit" -}}{{- $_ := set $env "LEDGER_FILE" "/data/ledger.sqlite" -}}{{- end -}}
{{- with $of.rules -}}
{{- if or .configMap .secret -}}{{- $_ := set $env "RULES_FILE" (printf "/config/given/%s" .key) -}}{{- end -}}
{{- end -}}
{{- with $of.routes -}}
{{- if or .configMap .secret -}}{{- $_ := set $env "ROUTES_FILE" (printf "/config/given/%s" .key) -}}{{- end -}}
{{- end -}}
{{- with $of.serviceBusNamespace -}}{{- $_ := set $env "SERVICEBUS_NAMESPACE" . -}}{{- end -}}
{{- with $of.blobAccountUrl -}}{{- $_ := set $env "BLOB_ACCOUNT_URL" . -}}{{- end -}}
{{- if not .job -}}{{- $env = mergeOverwrite $env ($of.env | default dict) -}}{{- end -}}
{{- $env | toJson -}}
{{- end -}}
