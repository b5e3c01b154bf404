{{/* Services, in the order of a message's path. */}}
{{- define "millrace.services" -}}
{{- $enabled := list -}}
{{- range $service := list "ingest" "inference" "notifier" "bridge" "audit" "keeper" -}}
{{- if (index $.Values $service).enabled -}}{{- $enabled = append $enabled $service -}}{{- end -}}
{{- end -}}
{{- $enabled | toJson -}}
{{- end -}}

{{/* What selects the pods of one service. Takes root and service. */}}
{{- define "millrace.selector" -}}
app.kubernetes.io/name: {{ .root.Values.name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .service }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "millrace.labels" -}}
{{ include "millrace.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* Takes root and app: the image, of its own tag or digest where the service names one. */}}
{{- define "millrace.image" -}}
{{- $image := .root.Values.image -}}
{{- $own := (index .root.Values .service).image | default dict -}}
{{- $name := $own.name | default (printf "%s/%s" $image.repository .app) -}}
{{- if $image.registry -}}{{ $image.registry }}/{{- end -}}
{{- $name -}}
{{- if $own.digest -}}@{{ $own.digest }}{{- else -}}:{{ $own.tag | default $image.tag | default .root.Chart.AppVersion }}{{- end -}}
{{- end -}}

{{/* A service's values over those of every service. Takes root and service. */}}
{{- define "millrace.of" -}}
{{- $of := mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (index .root.Values .service)) -}}
{{- $of | toJson -}}
{{- end -}}
