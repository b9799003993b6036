{{/* What the operator does under its own name, in the namespaces of its releases:
releases and their status, their inventories, events. Objects of an artifact, and
Secrets and ConfigMaps that a release names, are not here: they take the rights of
the release's serviceAccountName, as which the operator acts. config/rbac has the
same. */}}
{{- define "supercargo.rules" -}}
- apiGroups: [supercargo.dev]
  resources: [ociartifactreleases]
  verbs: [get, list, watch, patch]
- apiGroups: [supercargo.dev]
  resources: [ociartifactreleases/status]
  verbs: [patch]
# Inventories and plans. RBAC cannot name a prefix; the operator touches only inv-NAME, its
# parts, and plan-NAME.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, update, patch, delete]
# An account must exist before it is impersonated: the API server
# does not check that it exists.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [impersonate]
  {{- with .Values.rbac.impersonate }}
  resourceNames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
- apiGroups: [""]
  resources: [events]
  verbs: [create]
# A release in a terminating namespace does not wait for its objects.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end -}}

{{/* Removing the definition of releases must not remove every workload: seen by its
deletion mark. And an object of a kind that is not served is gone only where no
definition of the kind is left. */}}
{{- define "supercargo.definitionRule" -}}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [ociartifactreleases.supercargo.dev]
  verbs: [get]
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [list]
{{- end -}}

{{- define "supercargo.subjects" -}}
- kind: ServiceAccount
  name: {{ include "supercargo.serviceAccountName" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end -}}
