{{/* The environment of the container. */}}
{{- define "supercargo.environment" -}}
# Who it is among the replicas, also after a restart of the container.
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: RUST_LOG
  value: {{ .Values.logLevel | quote }}
{{- if or .Values.extraCA.configMap .Values.extraCA.secret }}
# One of these variables replaces what is looked at by default, so both places are
# named.
- name: SSL_CERT_DIR
  value: /etc/ssl/certs:/etc/supercargo/ca
{{- end }}
{{- with .Values.proxy }}
{{- with .http }}
- name: HTTP_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .https }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- if or .http .https .noProxy }}
# The kubelet knows the API server's address.
- name: NO_PROXY
  value: {{ list "localhost,127.0.0.1,.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST)" .noProxy | compact | join "," | quote }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
