{{/* The environment of the container. */}}
{{- define "supercargo.environment" -}}
# Identity among the replicas, also after a restart of the container.
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
# One of these variables replaces the default locations, so both locations are
# set.
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
- name: NO_PROXY
  value: {{ include "supercargo.noProxy" $ | quote }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- if and .Values.extraEnvFrom (not (or .Values.proxy.http .Values.proxy.https .Values.proxy.noProxy)) }}
# A proxy may come from extraEnvFrom; a NO_PROXY from there wins over this one.
- name: no_proxy
  value: {{ include "supercargo.noProxy" . | quote }}
{{- end }}
{{- end -}}

{{/* Hosts without proxy. The kubelet knows the API server's address. */}}
{{- define "supercargo.noProxy" -}}
{{- $direct := list "localhost,127.0.0.1,.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST)" .Values.proxy.noProxy -}}
{{- with .Values.otlpEndpoint -}}
{{- $direct = append $direct (urlParse .).hostname -}}
{{- end -}}
{{- $direct | compact | join "," -}}
{{- end -}}
