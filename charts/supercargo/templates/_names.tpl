{{/* What everything is called. */}}
{{- define "supercargo.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "supercargo" .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-supercargo" (trunc 42 .Release.Name | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* The lease of these replicas: two installations in one namespace have two. */}}
{{- define "supercargo.lease" -}}
{{- printf "%s-controller" (include "supercargo.fullname" .) -}}
{{- end -}}

{{- define "supercargo.serviceAccountName" -}}
{{- $own := ternary (include "supercargo.fullname" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $own -}}
{{- end -}}

{{/* By these the pods are found; they can never change. */}}
{{- define "supercargo.selectorLabels" -}}
app.kubernetes.io/name: supercargo
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "supercargo.labels" -}}
{{ include "supercargo.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "supercargo.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository $tag -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whose rights a release has that names no account; empty: the operator's own. */}}
{{- define "supercargo.defaultServiceAccount" -}}
{{- .Values.defaultServiceAccount | default (ternary "" "default" .Values.clusterAdmin) -}}
{{- end -}}
