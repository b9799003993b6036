{{/* Directories and no subPath, which would never be updated. */}}
{{- define "supercargo.mounts" -}}
- name: cache
  mountPath: /var/cache/supercargo
- name: builds
  mountPath: /var/lib/supercargo/builds
{{- if or .Values.trustPolicy.configMap .Values.trustPolicy.files }}
- name: trust
  mountPath: /etc/supercargo/trust
  readOnly: true
{{- end }}
{{- if .Values.trustedRoot.configMap }}
- name: trusted-root
  mountPath: /etc/supercargo/trusted-root
  readOnly: true
{{- end }}
{{- if or .Values.extraCA.configMap .Values.extraCA.secret }}
- name: ca
  mountPath: /etc/supercargo/ca
  readOnly: true
{{- end }}
{{- if .Values.webhook.enabled }}
- name: webhook
  mountPath: /etc/supercargo/webhook
  readOnly: true
{{- end }}
{{- if .Values.notifications.secret }}
- name: notifications
  mountPath: /etc/supercargo/notifications
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "supercargo.volumes" -}}
# Survives a restart of the container, not of the pod; its content can be
# fetched again.
- name: cache
  emptyDir:
    sizeLimit: {{ .Values.cache.sizeLimit }}
# The files of builds, removed after each.
- name: builds
  emptyDir:
    sizeLimit: {{ .Values.builds.sizeLimit }}
{{- if or .Values.trustPolicy.configMap .Values.trustPolicy.files }}
- name: trust
  configMap:
    name: {{ .Values.trustPolicy.configMap | default (printf "%s-trust-policy" (include "supercargo.fullname" .)) | quote }}
{{- end }}
{{- with .Values.trustedRoot }}
{{- if .configMap }}
- name: trusted-root
  configMap:
    name: {{ .configMap | quote }}
    items: [{key: {{ .key | quote }}, path: trusted_root.json}]
{{- end }}
{{- end }}
{{- with .Values.extraCA }}
{{- if .configMap }}
- name: ca
  configMap:
    name: {{ .configMap | quote }}
    items: [{key: {{ .key | quote }}, path: extra-ca.crt}]
{{- else if .secret }}
- name: ca
  secret:
    secretName: {{ .secret | quote }}
    items: [{key: {{ .key | quote }}, path: extra-ca.crt}]
{{- end }}
{{- end }}
{{- if .Values.webhook.enabled }}
- name: webhook
  secret:
    secretName: {{ .Values.webhook.secret | default (printf "%s-webhook" (include "supercargo.fullname" .)) | quote }}
{{- end }}
{{- if .Values.notifications.secret }}
- name: notifications
  secret:
    secretName: {{ .Values.notifications.secret | quote }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
