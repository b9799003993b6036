{{/* Names of all objects. */}}
{{- define "supercargo.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- /* A Service's name has no dot and begins with a letter; a release's may. */ -}}
{{- $name := .Release.Name | replace "." "-" -}}
{{- if not (regexMatch "^[a-z]" $name) -}}
{{- printf "supercargo-%s" (trunc 42 $name | trimSuffix "-") -}}
{{- else if contains "supercargo" $name -}}
{{- $name -}}
{{- else -}}
{{- printf "%s-supercargo" (trunc 42 $name | trimSuffix "-") -}}
{{- end -}}
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

{{/* The selector labels of the pods; they can never change. */}}
{{- define "supercargo.selectorLabels" -}}
app.kubernetes.io/name: supercargo
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Each label once: the chart's take precedence over the user's. */}}
{{- define "supercargo.labels" -}}
{{- include "supercargo.labelsWith" (list . dict) -}}
{{- end -}}

{{/* The labels of an object with additional ones: context, labels. */}}
{{- define "supercargo.labelsWith" -}}
{{- $context := index . 0 -}}
{{- $own := include "supercargo.ownLabels" $context | fromYaml -}}
{{- merge dict (index . 1) $own $context.Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "supercargo.ownLabels" -}}
{{ include "supercargo.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
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

{{/* The account of releases without serviceAccountName; empty: the operator's own. */}}
{{- define "supercargo.defaultServiceAccount" -}}
{{- .Values.defaultServiceAccount | default (ternary "" "default" .Values.clusterAdmin) -}}
{{- end -}}
